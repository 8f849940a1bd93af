use std::time::Duration;

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::{StartError, archive::ArchiveSettings};

const DAY: Duration = Duration::from_hours(24);
const MEGABYTE: u64 = 1_000_000;
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Options of the archive, as flags, environment variables and the config file's table `archive`.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[command(next_help_heading = "Archive")]
#[serde(default, deny_unknown_fields)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ArchiveArgs {
    /// Database for the frames that devices send: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`
    /// [default: no archive]
    #[arg(
        id = "archive",
        long = "archive",
        env = "LOPSIDE_ARCHIVE",
        value_name = "URL",
        hide_env_values = true
    )]
    pub url: Option<String>,
    /// Maximum age of archived frames in days since their arrival; older frames are deleted [default: unlimited]
    #[arg(id = "archive_days", long = "archive-days", env = "LOPSIDE_ARCHIVE_DAYS", value_name = "N")]
    pub days: Option<u32>,
    /// Maximum size of the archive on disk in megabytes; over it, the devices that occupy most of it lose the frames that
    /// arrived first [default: unlimited]
    #[arg(
        id = "archive_megabytes",
        long = "archive-megabytes",
        env = "LOPSIDE_ARCHIVE_MEGABYTES",
        value_name = "N"
    )]
    pub megabytes: Option<u64>,
    /// Maximum megabytes on disk per device; over it, a device loses its frames that arrived first [default: unlimited]
    #[arg(
        id = "archive_device_megabytes",
        long = "archive-device-megabytes",
        env = "LOPSIDE_ARCHIVE_DEVICE_MEGABYTES",
        value_name = "N"
    )]
    pub device_megabytes: Option<u64>,
    /// Maximum number of frames per device; over it, a device loses its frames that arrived first [default: unlimited]
    #[arg(
        id = "archive_device_frames",
        long = "archive-device-frames",
        env = "LOPSIDE_ARCHIVE_DEVICE_FRAMES",
        value_name = "N"
    )]
    pub device_frames: Option<u64>,
    /// Whether score and classification heads process all archived frames in the background [default: true]
    #[arg(
        id = "archive_scores",
        long = "archive-scores",
        env = "LOPSIDE_ARCHIVE_SCORES",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub scores: Option<bool>,
}

impl ArchiveArgs {
    /// Returns the settings; `None` without a URL.
    ///
    /// # Errors
    /// [`StartError::InvalidSetting`] for a limit of 0, with which no frame would be kept.
    pub(super) fn resolve(&self) -> Result<Option<ArchiveSettings>, StartError> {
        check_limit("archive-days", self.days == Some(0))?;
        check_limit("archive-megabytes", self.megabytes == Some(0))?;
        check_limit("archive-device-megabytes", self.device_megabytes == Some(0))?;
        check_limit("archive-device-frames", self.device_frames == Some(0))?;
        let to_bytes = |megabytes: u64| megabytes.saturating_mul(MEGABYTE);
        Ok(self.url.clone().map(|url| ArchiveSettings {
            url,
            max_age: self.days.map(|days| DAY.saturating_mul(days)),
            max_bytes: self.megabytes.map(to_bytes),
            max_device_bytes: self.device_megabytes.map(to_bytes),
            max_device_frames: self.device_frames,
            scores_frames: self.scores.unwrap_or(true),
            check_interval: CHECK_INTERVAL,
        }))
    }
}

fn check_limit(name: &'static str, is_zero: bool) -> Result<(), StartError> {
    if !is_zero {
        return Ok(());
    }
    let reason =
        "0 would delete every frame soon after its arrival: give at least 1, or omit it to keep all frames";
    Err(StartError::InvalidSetting { name, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_without_an_address_there_is_none() {
        let mut args = ArchiveArgs { days: Some(2), ..ArchiveArgs::default() };
        assert_eq!(args.resolve().unwrap(), None);
        let url = Some("sqlite:a".into());
        args.merge(ArchiveArgs {
            url,
            days: Some(3),
            megabytes: Some(7),
            device_megabytes: Some(2),
            device_frames: Some(5),
            scores: Some(false),
        });
        let merged = args.resolve().unwrap().unwrap();
        assert_eq!((&merged.url[..], merged.max_age), ("sqlite:a", Some(Duration::from_hours(48))));
        assert_eq!((merged.max_bytes, merged.scores_frames), (Some(7_000_000), false));
        assert_eq!((merged.max_device_bytes, merged.max_device_frames), (Some(2_000_000), Some(5)));
    }

    #[test]
    fn a_limit_that_keeps_nothing_is_refused_with_its_name() {
        for (file, name) in [
            ("days = 0", "archive-days"),
            ("megabytes = 0", "archive-megabytes"),
            ("device_megabytes = 0", "archive-device-megabytes"),
            ("device_frames = 0", "archive-device-frames"),
        ] {
            let args: ArchiveArgs = toml::from_str(&format!("url = 'sqlite:a'\n{file}")).unwrap();
            let error = args.resolve().unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains("omit it to keep all frames"), "{error}");
        }
        let file = "url = 'sqlite:a'\ndays = 1\nmegabytes = 1\ndevice_megabytes = 1\ndevice_frames = 1";
        let least: ArchiveArgs = toml::from_str(file).unwrap();
        assert!(least.resolve().unwrap().is_some());
    }
}
