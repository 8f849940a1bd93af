//! The device's clock, and whether it can be trusted.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use lopside_proto::v1::ClockQuality;

/// The folder in which systemd-timesyncd reports whether it has set the clock. It is in memory, so it is empty after
/// each start of the device.
const TIMESYNC_FOLDER: &str = "/run/systemd/timesync";
/// The file that exists as soon as the clock is set.
const SYNCHRONISED_FILE: &str = "synchronized";

/// Returns the time of the system clock in Unix milliseconds; 0 if the clock is before 1970.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Returns whether a time server has set the clock since the device started. Only systemd-timesyncd says so in a
/// place that every process can read without the system call `adjtimex`, which safe code cannot make.
pub(crate) fn clock_quality() -> ClockQuality {
    quality_in(Path::new(TIMESYNC_FOLDER))
}

fn quality_in(folder: &Path) -> ClockQuality {
    if folder.join(SYNCHRONISED_FILE).exists() {
        ClockQuality::Synchronised
    } else if folder.exists() {
        ClockQuality::Unsynchronised
    } else {
        ClockQuality::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quality_follows_the_files_of_the_time_service() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("timesync");
        assert_eq!(quality_in(&folder), ClockQuality::Unknown);
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(quality_in(&folder), ClockQuality::Unsynchronised);
        std::fs::write(folder.join(SYNCHRONISED_FILE), b"").unwrap();
        assert_eq!(quality_in(&folder), ClockQuality::Synchronised);
    }

    #[test]
    fn the_time_is_in_unix_milliseconds() {
        // 2020 and 2200.
        assert!((1_577_836_800_000..7_258_118_400_000).contains(&now_ms()));
    }
}
