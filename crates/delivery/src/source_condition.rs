/// Maximum number of sources in a report of a device.
pub const MAX_REPORTED_SOURCES: usize = 64;
/// Maximum length of the name of a source in bytes.
pub const MAX_SOURCE_NAME_BYTES: usize = 128;
/// Maximum length of the description of a source's problem in bytes.
pub const MAX_PROBLEM_BYTES: usize = 256;

/// The condition of a source of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceCondition {
    /// The device names a condition that is not known here.
    Unknown,
    /// The source works, as far as the device can tell.
    Working,
    /// The source has not delivered an input for longer than it may be silent.
    Silent,
    /// The source has ended and is not started again.
    Ended,
}

impl SourceCondition {
    /// All conditions.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Working, Self::Silent, Self::Ended];

    /// Returns the name of the condition, as in lists and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Working => "working",
            Self::Silent => "silent",
            Self::Ended => "ended",
        }
    }
}

/// Returns the beginning of a text that has at most this many bytes, and ends with a whole character.
#[must_use]
pub fn shorten_text(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_text_ends_with_a_whole_character() {
        for (text, expected) in [("", ""), ("abc", "abc"), ("abcd", "abc"), ("abü", "ab"), ("ü€", "ü")] {
            assert_eq!(shorten_text(text, 3), expected, "{text}");
        }
    }

    #[test]
    fn every_condition_has_a_name_of_its_own() {
        let mut names = SourceCondition::ALL.map(SourceCondition::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
