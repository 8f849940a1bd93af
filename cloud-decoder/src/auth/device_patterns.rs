//! The devices that a key may speak for, as patterns of their names.

use std::fmt::{self, Display, Formatter};

use lopside_delivery::{MAX_DEVICE_NAME_BYTES, is_valid_device_name};

/// Maximum number of patterns in a message.
const MAX_LISTED_PATTERNS: usize = 8;

/// Patterns for the whole name of a device, in which `*` stands for any number of characters, including none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DevicePatterns(Vec<String>);

impl DevicePatterns {
    /// Checks the patterns.
    ///
    /// # Errors
    /// The reason why the list or one of the patterns is invalid.
    pub(super) fn parse(patterns: Vec<String>) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err(
                "devices lists no device: list patterns such as [\"gate-*\"], omit it for any device, or \
                 remove the scope \"ingest\" for none"
                    .to_owned(),
            );
        }
        if let Some(invalid) = patterns.iter().find(|pattern| !is_valid_device_name(pattern)) {
            return Err(format!(
                "{invalid:?} is not a pattern of device names: give 1 to {MAX_DEVICE_NAME_BYTES} visible ASCII \
                 characters and no spaces, with * for any number of characters"
            ));
        }
        Ok(Self(patterns))
    }

    /// Returns whether a pattern matches the name.
    pub(super) fn matches(&self, device: &str) -> bool {
        self.0.iter().any(|pattern| is_match(pattern, device))
    }
}

impl Display for DevicePatterns {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().take(MAX_LISTED_PATTERNS).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{pattern:?}")?;
        }
        match self.0.len().saturating_sub(MAX_LISTED_PATTERNS) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

/// Returns whether a pattern matches a whole name. The parts between two `*` are found from left to right, each at
/// its first occurrence, which leaves the most characters for the parts after it.
fn is_match(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut remaining) = name.strip_prefix(start).and_then(|name| name.strip_suffix(end)) else {
        return false;
    };
    for part in middle.split('*') {
        let Some((_, after)) = remaining.split_once(part) else { return false };
        remaining = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Matches character by character, as the definition says.
    fn matches_by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => {
                (0..=name.len()).any(|skipped| matches_by_definition(rest, &name[skipped..]))
            }
            Some((first, rest)) => name
                .split_first()
                .is_some_and(|(byte, name)| byte == first && matches_by_definition(rest, name)),
        }
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, expected) in [
            ("gate-7", "gate-7", true),
            ("gate-7", "gate-70", false),
            ("gate-7", "a-gate-7", false),
            ("gate-*", "gate-", true),
            ("gate-*", "gate-north-7", true),
            ("gate-*", "gat", false),
            ("gate-*", "GATE-7", false),
            ("*", "anything", true),
            ("*-7", "gate-7", true),
            ("*-7", "gate-71", false),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("gate-?", "gate-7", false),
            ("gate-[0-9]", "gate-7", false),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn an_empty_list_and_an_impossible_pattern_are_refused_with_the_reason() {
        let refusal = |patterns: &[&str]| {
            DevicePatterns::parse(patterns.iter().map(|&text| text.to_owned()).collect()).unwrap_err()
        };
        assert!(refusal(&[]).contains("lists no device"));
        for invalid in ["", "two words", "Gerät-*", &"x".repeat(129)] {
            let reason = refusal(&["gate-*", invalid]);
            assert!(reason.contains(invalid) && reason.contains("visible ASCII"), "{reason}");
        }
        let patterns = DevicePatterns::parse(vec!["gate-*".into(), "line-3".into()]).unwrap();
        assert_eq!(patterns.to_string(), "\"gate-*\", \"line-3\"");
        let many = DevicePatterns::parse(vec!["gate-*".into(); 10]).unwrap().to_string();
        assert!(many.ends_with("\"gate-*\" and 2 more"), "{many}");
        assert!(patterns.matches("line-3") && patterns.matches("gate-9") && !patterns.matches("line-30"));
    }

    proptest! {
        #[test]
        fn matching_follows_the_definition(pattern in "[ab*]{0,9}", name in "[ab*]{0,12}") {
            let expected = matches_by_definition(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(is_match(&pattern, &name), expected, "{:?} {:?}", pattern, name);
        }
    }
}
