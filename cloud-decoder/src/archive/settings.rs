use std::time::Duration;

use lopside_archive::Settings;

/// The database of the archive, its retention limits and its scoring.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// The URL of the database.
    pub url: String,
    /// Maximum time since a frame's arrival; older frames are deleted. `None` is unlimited.
    pub max_age: Option<Duration>,
    /// Maximum bytes of all frames; the frames over it that arrived first are deleted. `None` is unlimited.
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
    pub(crate) fn database_settings(&self) -> Settings {
        Settings { max_age: self.max_age, max_bytes: self.max_bytes, ..Settings::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://u:secret@h/n".to_owned();
        let settings = ArchiveSettings { url, max_age: None, max_bytes: None, scores_frames: true };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
