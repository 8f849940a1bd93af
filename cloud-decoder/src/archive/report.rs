//! The archive in the report of `cloud-decoder check`.

use std::fmt;

use serde::Serialize;

use super::ArchiveSettings;

const DAY_SECONDS: u64 = 86_400;

/// The database of the archive, and what it keeps.
#[derive(Debug, Serialize)]
pub struct ArchiveReport {
    /// The address of the database, without user and password.
    database: String,
    /// Days after their arrival for which frames are kept; `None` is unlimited.
    max_age_days: Option<u64>,
    /// Maximum bytes on disk; `None` is unlimited.
    max_bytes: Option<u64>,
    /// Maximum bytes per device on disk; `None` is unlimited.
    max_device_bytes: Option<u64>,
    /// Maximum number of frames per device; `None` is unlimited.
    max_device_frames: Option<u64>,
    /// Whether frames are scored in the background.
    scores: bool,
}

impl From<&ArchiveSettings> for ArchiveReport {
    fn from(settings: &ArchiveSettings) -> Self {
        Self {
            database: without_secrets(&settings.url),
            max_age_days: settings.max_age.map(|age| age.as_secs() / DAY_SECONDS),
            max_bytes: settings.max_bytes,
            max_device_bytes: settings.max_device_bytes,
            max_device_frames: settings.max_device_frames,
            scores: settings.scores_frames,
        }
    }
}

impl fmt::Display for ArchiveReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scores = if self.scores { "frames are scored" } else { "frames are not scored" };
        write!(formatter, "{}, {scores}", self.database)?;
        if let Some(days) = self.max_age_days {
            write!(formatter, "; frames are deleted {days} days after their arrival")?;
        }
        if let Some(frames) = self.max_device_frames {
            write!(formatter, "; a device over {frames} frames loses its oldest ones")?;
        }
        if let Some(bytes) = self.max_device_bytes {
            write!(formatter, "; a device over {bytes} bytes on disk loses its oldest frames")?;
        }
        if let Some(bytes) = self.max_bytes {
            write!(
                formatter,
                "; over {bytes} bytes on disk, the devices that occupy most lose their oldest frames"
            )?;
        }
        let Self { max_age_days, max_bytes, max_device_bytes, max_device_frames, .. } = self;
        if [max_age_days, max_bytes, max_device_bytes, max_device_frames].iter().all(|limit| limit.is_none())
        {
            write!(formatter, "; all frames are kept")?;
        }
        Ok(())
    }
}

/// Returns the address of a database without user, password and options. Paths of files are returned as they are.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("postgres"))
    else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = path.split('?').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    // The slash before the sign may be a part of the password.
    if path.contains('@') { format!("{scheme}://…") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(url: &str) -> ArchiveSettings {
        ArchiveSettings {
            url: url.to_owned(),
            max_age: None,
            max_bytes: None,
            max_device_bytes: None,
            max_device_frames: None,
            scores_frames: true,
            check_interval: Duration::from_secs(10),
        }
    }

    #[test]
    fn each_limit_is_explained() {
        let unlimited = ArchiveReport::from(&settings("sqlite:/srv/a.db")).to_string();
        assert_eq!(unlimited, "sqlite:/srv/a.db, frames are scored; all frames are kept");
        let limited = ArchiveSettings {
            max_age: Some(Duration::from_hours(24 * 90)),
            max_bytes: Some(1_000_000),
            max_device_bytes: Some(3000),
            max_device_frames: Some(7),
            scores_frames: false,
            ..settings("a.db")
        };
        assert_eq!(
            ArchiveReport::from(&limited).to_string(),
            "a.db, frames are not scored; frames are deleted 90 days after their arrival; a device over 7 frames loses its \
             oldest ones; a device over 3000 bytes on disk loses its oldest frames; over 1000000 bytes on disk, the devices \
             that occupy most lose their oldest frames"
        );
    }

    #[test]
    fn secrets_are_left_out() {
        for (url, expected) in [
            ("postgres://me:secret@db.example/lopside", "postgres://db.example/lopside"),
            ("postgresql://db:5432/n?password=secret@1", "postgresql://db:5432/n"),
            ("postgres://me:se/cret@db/n", "postgres://…"),
            ("postgres://me:secret@db?sslmode=require", "postgres://db"),
            ("sqlite:a@b.db", "sqlite:a@b.db"),
        ] {
            assert_eq!(without_secrets(url), expected);
        }
    }
}
