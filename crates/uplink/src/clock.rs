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
/// The beginning of 2025 in Unix seconds. A clock that shows an earlier time was never set.
const EARLIEST_S: u32 = 1_735_689_600;

/// Returns the time of the system clock in Unix milliseconds; 0 if the clock is before 1970.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the time of the system clock in Unix seconds; `None` if the clock cannot be trusted, because no time server
/// has set it since the device started, or it is before the time at which this program was written. A clock of unknown
/// quality is trusted otherwise.
pub(crate) fn trusted_unix_s() -> Option<u32> {
    trusted(clock_quality(), now_ms())
}

fn trusted(quality: ClockQuality, now_ms: i64) -> Option<u32> {
    let now_s = u32::try_from(now_ms / 1000).ok()?;
    (quality != ClockQuality::Unsynchronised && now_s >= EARLIEST_S).then_some(now_s)
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
    fn a_clock_that_was_not_set_is_not_trusted() {
        let now_ms = 1_800_000_000_999;
        for (quality, now_ms, expected) in [
            (ClockQuality::Synchronised, now_ms, Some(1_800_000_000)),
            (ClockQuality::Unknown, now_ms, Some(1_800_000_000)),
            (ClockQuality::Unsynchronised, now_ms, None),
            (ClockQuality::Unknown, 86_400_000, None),
            (ClockQuality::Synchronised, -1, None),
            (ClockQuality::Synchronised, i64::MAX, None),
        ] {
            assert_eq!(trusted(quality, now_ms), expected, "{quality:?} {now_ms}");
        }
    }

    #[test]
    fn the_time_is_in_unix_milliseconds() {
        // 2020 and 2200.
        assert!((1_577_836_800_000..7_258_118_400_000).contains(&now_ms()));
    }
}
