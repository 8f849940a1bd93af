//! The memory that this process may use: that of the machine, or less if a control group limits it.

use std::{fs, path::Path, sync::LazyLock};

/// The mounts of control groups: version 2, and the memory controller of version 1.
const GROUPS: &str = "/sys/fs/cgroup";
const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";

static MACHINE_MEMORY: LazyLock<Option<u64>> = LazyLock::new(|| {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(group_limit(&groups, Path::new(GROUPS), Path::new(MEMORY_GROUPS))).min()
});

/// Returns the memory in bytes; `None` if the system does not tell.
pub(crate) fn machine_memory() -> Option<u64> {
    *MACHINE_MEMORY
}

/// Returns `MemTotal` of `/proc/meminfo`.
fn parse_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the lowest limit of this process's control groups. `text` is `/proc/self/cgroup`, with a line
/// `NUMBER:CONTROLLERS:PATH` per hierarchy.
fn group_limit(text: &str, groups: &Path, memory_groups: &Path) -> Option<u64> {
    let limits = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        if controllers.is_empty() {
            lowest_limit(groups, path, "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            lowest_limit(memory_groups, path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// Returns the lowest limit of a group and of the groups around it. A container may see its own group as the root,
/// while the path is still the one outside: folders that do not exist are passed over.
fn lowest_limit(root: &Path, path: &str, file: &str) -> Option<u64> {
    let folder = root.join(path.trim_start_matches('/'));
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(root));
    // A group without a limit contains the word `max`, or a number that is larger than any memory.
    folders.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory() {
        assert_eq!(parse_total("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(parse_total("MemTotal: much\n"), None);
        assert!(machine_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_lowest_limit_of_the_groups_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("two/memory.max", "max\n");
        write("two/a/memory.max", "3000\n");
        write("two/a/b/memory.max", "4000\n");
        write("one/memory.limit_in_bytes", "9223372036854771712\n");
        write("one/c/memory.limit_in_bytes", "5000\n");
        for (text, expected) in [
            ("0::/a/b\n", Some(3000)),
            ("0::/\n", None),
            ("0::/not/here\n", None),
            ("12:cpu,memory:/c\n1:name=systemd:/c\n", Some(5000)),
            ("12:cpu:/c\n", None),
            ("4:memory:/outside/the/container\n", Some(9_223_372_036_854_771_712)),
            ("0::/a\n4:memory:/c\n", Some(3000)),
            ("damaged\n", None),
        ] {
            assert_eq!(group_limit(text, &root.join("two"), &root.join("one")), expected, "{text:?}");
        }
    }
}
