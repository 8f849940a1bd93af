use std::time::Duration;

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::archive::ArchiveSettings;

const DAY: Duration = Duration::from_hours(24);
const MEGABYTE: u64 = 1_000_000;

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
    /// Maximum size of the archive in megabytes; the frames over it that arrived first are deleted
    /// [default: unlimited]
    #[arg(
        id = "archive_megabytes",
        long = "archive-megabytes",
        env = "LOPSIDE_ARCHIVE_MEGABYTES",
        value_name = "N"
    )]
    pub megabytes: Option<u64>,
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
    pub(super) fn resolve(&self) -> Option<ArchiveSettings> {
        Some(ArchiveSettings {
            url: self.url.clone()?,
            max_age: self.days.map(|days| DAY.saturating_mul(days)),
            max_bytes: self.megabytes.map(|megabytes| megabytes.saturating_mul(MEGABYTE)),
            scores_frames: self.scores.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_without_an_address_there_is_none() {
        let mut args = ArchiveArgs { days: Some(2), ..ArchiveArgs::default() };
        assert_eq!(args.resolve(), None);
        let url = Some("sqlite:a".into());
        args.merge(ArchiveArgs { url, days: Some(3), megabytes: Some(7), scores: Some(false) });
        let merged = args.resolve().unwrap();
        assert_eq!((&merged.url[..], merged.max_age), ("sqlite:a", Some(Duration::from_hours(48))));
        assert_eq!((merged.max_bytes, merged.scores_frames), (Some(7_000_000), false));
    }
}
