use std::path::Path;

use lopside_spool::{Disk, Storage as _, disk_fix, is_stray_name, read_state};

use super::Finding;

/// Checks the state of the spool and looks for files in its folder that do not belong to it. Returns nothing if there is
/// no fault, or no spool yet.
pub(super) fn examine(folder: &Path) -> Vec<Finding> {
    examine_state(folder).into_iter().chain(examine_strays(folder)).collect()
}

/// Checks whether other programs have put files with the names of segments into the folder.
fn examine_strays(folder: &Path) -> Option<Finding> {
    let names = Disk::open(folder).and_then(|disk| disk.names()).ok()?;
    let strays: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_stray_name(name)).collect();
    (!strays.is_empty()).then(|| {
        Finding::poor(
            "spool",
            format!("files in {} do not belong to it, and are kept unread: {}", folder.display(), strays.join(", ")),
            "move them away, and find out which program or person put them there: no other program may change the folder",
        )
    })
}

/// Checks whether the spool had to take a new name, because it shared its numbers with another history of its folder.
/// Returns `None` if it did not, or if there is no spool yet.
fn examine_state(folder: &Path) -> Option<Finding> {
    let state = Disk::open(folder).and_then(|disk| read_state(&disk));
    let times_renamed = match state {
        Ok(state) => state?.times_renamed,
        Err(error) => {
            let found = format!("its state in {} cannot be read: {error}", folder.display());
            let fix = disk_fix(error.kind()).unwrap_or("allow this user to read the files in the folder");
            return Some(Finding::poor("spool", found, fix));
        }
    };
    (times_renamed > 0).then(|| {
        let found = format!("it was copied or set back {times_renamed} times, and took a new name each time");
        Finding::poor(
            "spool",
            found,
            "keep its folder on a disk that preserves changes, not in an overlay that each start resets; do not restore \
             it from a backup, and do not copy it to other machines",
        )
    })
}

#[cfg(test)]
mod tests {
    use lopside_spool::{MachineId, Options, Spool};

    use super::*;

    #[test]
    fn a_spool_that_was_copied_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("spool");
        assert!(examine(&folder).is_empty());
        let open_on = |digit: &str| {
            let machine = MachineId::parse(&digit.repeat(32));
            let options = Options { machine, ..Options::new(1_000_000, 1) };
            drop(Spool::open(Disk::open(&folder).unwrap(), options).unwrap());
        };
        open_on("a");
        assert!(examine(&folder).is_empty());
        open_on("b");
        open_on("a");
        let findings = examine(&folder);
        assert!(findings.len() == 1 && findings[0].found.contains("set back 2 times"), "{findings:?}");
    }

    #[test]
    fn a_stray_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let open = || Spool::open(Disk::open(root.path()).unwrap(), Options::new(1_000_000, 1)).unwrap();
        drop(open());
        std::fs::write(root.path().join("low-00000000000f4240.log"), "").unwrap();
        assert!(examine(root.path()).is_empty(), "the agent sorts it out when it starts");
        drop(open());
        let findings = examine(root.path());
        assert!(
            findings.len() == 1 && findings[0].found.contains("low-00000000000f4240.log"),
            "{findings:?}"
        );
    }
}
