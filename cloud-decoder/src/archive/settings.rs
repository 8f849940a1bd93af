use std::time::Duration;

use clap::Args;
use lopside_archive::Settings;
use serde::Deserialize;

const DAY: Duration = Duration::from_hours(24);
const MEGABYTE: u64 = 1_000_000;

/// Options of the archive, as flags, environment variables or the config file's table `archive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Archive")]
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
    /// Maximum age of archived frames in days since their capture; older frames are deleted [default: unlimited]
    #[arg(id = "archive_days", long = "archive-days", env = "LOPSIDE_ARCHIVE_DAYS", value_name = "N")]
    pub days: Option<u32>,
    /// Maximum size of the archive in megabytes; the oldest frames over it are deleted [default: unlimited]
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

/// The database of the archive, its retention limits and its scoring.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// The URL of the database.
    pub url: String,
    /// Maximum time since a frame's capture; older frames are deleted. `None` is unlimited.
    pub max_age: Option<Duration>,
    /// Maximum bytes of all frames; the oldest frames over it are deleted. `None` is unlimited.
    pub max_bytes: Option<u64>,
    /// Whether frames are scored in the background.
    pub scores_frames: bool,
}

impl std::fmt::Debug for ArchiveSettings {
    /// Omits the URL, which may contain a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, max_age, max_bytes, scores_frames: scores } = self;
        formatter
            .debug_struct("ArchiveSettings")
            .field("max_age", max_age)
            .field("max_bytes", max_bytes)
            .field("scores", scores)
            .finish_non_exhaustive()
    }
}

impl ArchiveSettings {
    /// Merges flags and environment variables over the config file; returns `None` without a URL.
    pub(crate) fn merge(args: ArchiveArgs, file: ArchiveArgs) -> Option<Self> {
        let days = args.days.or(file.days);
        let megabytes = args.megabytes.or(file.megabytes);
        Some(Self {
            url: args.url.or(file.url)?,
            max_age: days.map(|days| DAY.saturating_mul(days)),
            max_bytes: megabytes.map(|megabytes| megabytes.saturating_mul(MEGABYTE)),
            scores_frames: args.scores.or(file.scores).unwrap_or(true),
        })
    }

    pub(crate) fn database_settings(&self) -> Settings {
        Settings { max_age: self.max_age, max_bytes: self.max_bytes, ..Settings::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_without_an_address_there_is_none() {
        let url = Some("sqlite:a".into());
        let file = ArchiveArgs { url, days: Some(3), megabytes: Some(7), scores: Some(false) };
        let args = ArchiveArgs { days: Some(2), ..ArchiveArgs::default() };
        let merged = ArchiveSettings::merge(args.clone(), file).unwrap();
        assert_eq!((&merged.url[..], merged.max_age), ("sqlite:a", Some(Duration::from_hours(48))));
        assert_eq!((merged.max_bytes, merged.scores_frames), (Some(7_000_000), false));
        assert_eq!(ArchiveSettings::merge(args, ArchiveArgs::default()), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let args = ArchiveArgs { url: Some("postgres://u:secret@h/n".into()), ..ArchiveArgs::default() };
        let merged = ArchiveSettings::merge(args, ArchiveArgs::default()).unwrap();
        assert!(!format!("{merged:?}").contains("secret"));
    }
}
