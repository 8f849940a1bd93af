use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use lopside_spool::disk_fix;
use rustix::fs::{statfs, statvfs};

use super::{Finding, probe::ProbeFile};

/// Number of pages that are written to measure the latency.
const WRITE_COUNT: usize = 9;
const PAGE: [u8; 4096] = [0; 4096];
/// A disk with a higher latency delays commits.
const SLOW_SYNC: Duration = Duration::from_millis(200);
/// File systems in memory, or with changes that may be in memory, by their numbers in the answer of `statfs`.
const VOLATILE_FILE_SYSTEMS: [(u32, &str); 3] =
    [(0x794c_7630, "overlayfs"), (0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// Checks the folder of the spool: whether it is writable, its free space, the time to sync a page, and its file system.
pub(super) fn examine(folder: &Path, budget: u64) -> Vec<Finding> {
    if let Err(error) = fs::create_dir_all(folder) {
        let found = format!("{}: {error}", folder.display());
        let fix = "configure another folder in [spool], or allow this user to write to it";
        return vec![Finding::bad("spool", found, disk_fix(error.kind()).unwrap_or(fix))];
    }
    let mut findings = vec![check_space(folder, budget), latency(folder)];
    findings.extend(check_file_system(folder));
    findings
}

/// Checks whether the spool outlives a restart of the device. Returns `None` if it does.
fn check_file_system(folder: &Path) -> Option<Finding> {
    // The number has another type on some machines.
    let name = find_volatile(statfs(folder).ok()?.f_type as u32)?;
    let found = format!(
        "{} is on {name}: what is stored there, such as frames that wait, is usually gone after the next start of the \
         device or its container",
        folder.display()
    );
    Some(Finding::poor(
        "file system",
        found,
        "configure a folder on a disk or a persistent volume in [spool]",
    ))
}

/// Returns the name of the file system with this number, if what is stored in it may not outlive a restart.
fn find_volatile(number: u32) -> Option<&'static str> {
    let found = VOLATILE_FILE_SYSTEMS.into_iter().find(|(volatile, _)| *volatile == number);
    found.map(|(_, name)| name)
}

fn check_space(folder: &Path, budget: u64) -> Finding {
    let free = match statvfs(folder) {
        Ok(stats) => stats.f_bavail * stats.f_frsize,
        Err(error) => return Finding::poor("spool", error, "check that the folder is on a disk"),
    };
    let used = fs::read_dir(folder).map_or(0, |entries| {
        entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
    });
    let [free_mb, budget_mb, used_mb] = [free, budget, used].map(|bytes| bytes / 1_000_000);
    let found = format!(
        "{free_mb} MB are free in {}; of the budget of {budget_mb} MB, {used_mb} MB are used",
        folder.display()
    );
    if free + used >= budget {
        Finding::good("spool", found)
    } else {
        Finding::poor("spool", found, "free some disk space, or lower megabytes in [spool]")
    }
}

fn latency(folder: &Path) -> Finding {
    match median_sync_time(folder) {
        Ok(median) => {
            let found = format!("writing and syncing a page takes {:.1} ms", median.as_secs_f64() * 1e3);
            if median < SLOW_SYNC {
                Finding::good("disk", found)
            } else {
                Finding::poor("disk", found, "use a faster card or disk, or raise commit_ms in [spool]")
            }
        }
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            let fix = "allow this user to write to the folder, and check the system log for disk errors";
            Finding::bad("disk", found, disk_fix(error.kind()).unwrap_or(fix))
        }
    }
}

/// Returns the median time to write and sync a page.
fn median_sync_time(folder: &Path) -> io::Result<Duration> {
    let mut probe = ProbeFile::create(folder)?;
    let mut times = Vec::with_capacity(WRITE_COUNT);
    for _ in 0..WRITE_COUNT {
        let start = Instant::now();
        probe.file.write_all(&PAGE)?;
        probe.file.sync_data()?;
        times.push(start.elapsed());
    }
    probe.remove()?;
    times.sort_unstable();
    Ok(times[WRITE_COUNT / 2])
}

#[cfg(test)]
mod tests {
    use rustix::fs::PROC_SUPER_MAGIC;

    use super::*;

    #[test]
    fn file_systems_in_memory_are_recognised() {
        // The numbers in linux/magic.h.
        let numbers = [0x794c_7630, 0x0102_1994, 0x8584_58f6];
        assert_eq!(numbers.map(find_volatile), [Some("overlayfs"), Some("tmpfs"), Some("ramfs")]);
        // ext4, btrfs and XFS.
        assert_eq!([0xef53, 0x9123_683e, 0x5846_5342].map(find_volatile), [None; 3]);
        assert_eq!(statfs("/proc").unwrap().f_type, PROC_SUPER_MAGIC);
        assert_eq!(check_file_system(Path::new("/proc")), None);
    }
}
