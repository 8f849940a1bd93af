use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::statvfs;

use super::Finding;

/// Number of pages that are written to measure the latency.
const WRITE_COUNT: usize = 9;
const PAGE: [u8; 4096] = [0; 4096];
/// A disk with a higher latency delays commits.
const SLOW_SYNC: Duration = Duration::from_millis(200);

/// Checks the folder of the spool: whether it is writable, its free space, and the time to sync a page.
pub(super) fn examine(folder: &Path, budget: u64) -> Vec<Finding> {
    if let Err(error) = fs::create_dir_all(folder) {
        let found = format!("{}: {error}", folder.display());
        return vec![Finding::bad(
            "spool",
            found,
            "configure another folder in [spool], or allow this user to write to it",
        )];
    }
    vec![check_space(folder, budget), latency(folder)]
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
            Finding::bad(
                "disk",
                found,
                "allow this user to write to the folder, and check the system log for disk errors",
            )
        }
    }
}

/// Returns the median time to write and sync a page.
fn median_sync_time(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(".doctor");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(WRITE_COUNT);
    for _ in 0..WRITE_COUNT {
        let start = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times[WRITE_COUNT / 2])
}
