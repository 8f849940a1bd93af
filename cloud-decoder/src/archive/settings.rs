use std::time::Duration;

use lopside_archive::Settings;

/// The database of the archive, its retention limits and its scoring.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// The URL of the database.
    pub url: String,
    /// Maximum time since a frame's arrival; older frames are deleted. `None` is unlimited.
    pub max_age: Option<Duration>,
    /// Maximum bytes of the archive on disk; frames of the devices that occupy most of it are deleted. `None` is unlimited.
    pub max_bytes: Option<u64>,
    /// Maximum bytes per device on disk; the device's frames over it are deleted. `None` is unlimited.
    pub max_device_bytes: Option<u64>,
    /// Maximum number of frames per device; the device's frames over it are deleted. `None` is unlimited.
    pub max_device_frames: Option<u64>,
    /// Whether frames are scored in the background.
    pub scores_frames: bool,
    /// Interval at which the health of the database is checked.
    pub check_interval: Duration,
}

impl std::fmt::Debug for ArchiveSettings {
    /// Omits the URL, which may contain a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ArchiveSettings")
            .field("max_age", &self.max_age)
            .field("max_bytes", &self.max_bytes)
            .field("max_device_bytes", &self.max_device_bytes)
            .field("max_device_frames", &self.max_device_frames)
            .field("scores", &self.scores_frames)
            .finish_non_exhaustive()
    }
}

impl ArchiveSettings {
    pub(crate) fn database_settings(&self) -> Settings {
        Settings {
            max_age: self.max_age,
            max_bytes: self.max_bytes,
            max_device_bytes: self.max_device_bytes,
            max_device_frames: self.max_device_frames,
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://u:secret@h/n".to_owned();
        let settings = ArchiveSettings {
            url,
            max_age: None,
            max_bytes: None,
            max_device_bytes: None,
            max_device_frames: None,
            scores_frames: true,
            check_interval: Duration::from_secs(10),
        };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
