//! The channel file.
//!
//! ```toml
//! [[channel]]
//! name = "stable"       # the name that devices use: 1 to 64 characters of a–z, 0–9 and -
//! bundle = "photo"      # the name of the offered bundle
//! version = 2           # default: the newest served version
//! ```
//! Unknown fields are rejected: otherwise a misspelt `version` would offer the newest version.

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use serde::Deserialize;

use super::Channel;
use crate::StartError;

/// Maximum size of the file in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_NAME_BYTES: usize = 64;

/// All channels of a server.
#[derive(Debug)]
pub(crate) struct ChannelFile(Vec<Arc<Channel>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelFileToml {
    #[serde(default)]
    channel: Vec<ChannelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelEntry {
    name: String,
    bundle: String,
    version: Option<u32>,
}

impl ChannelFile {
    /// Reads the channel file. A channel that is the same in `previous` keeps the results of its file checks.
    ///
    /// # Errors
    /// [`StartError::Channels`] naming the channel and the problem.
    pub(crate) fn load(path: &Path, previous: Option<&Self>) -> Result<Self, StartError> {
        let length = fs::metadata(path).map_err(|error| file_error(path, error.to_string()))?.len();
        if length > MAX_FILE_BYTES {
            let reason = format!("the file has {length} bytes, but at most {MAX_FILE_BYTES} are allowed");
            return Err(file_error(path, reason));
        }
        let text = fs::read_to_string(path).map_err(|error| file_error(path, error.to_string()))?;
        let channels = parse_channels(&text).map_err(|reason| file_error(path, reason))?;
        let channels = channels.into_iter().map(|channel| {
            let unchanged =
                previous.and_then(|previous| previous.0.iter().find(|old| old.has_same_config(&channel)));
            unchanged.map_or_else(|| Arc::new(channel), Arc::clone)
        });
        Ok(Self(channels.collect()))
    }

    /// Returns all channels, in the order of the file.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.0.iter()
    }
}

fn file_error(path: &Path, reason: String) -> StartError {
    StartError::Channels { path: path.to_owned(), reason }
}

fn parse_channels(text: &str) -> Result<Vec<Channel>, String> {
    let file: ChannelFileToml = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut names = HashSet::new();
    for ChannelEntry { name, bundle, .. } in &file.channel {
        if !is_channel_name(name) {
            return Err(format!(
                "channel {name:?}: a name has 1 to {MAX_NAME_BYTES} characters from a–z, 0–9 and -"
            ));
        }
        if !is_channel_name(bundle) {
            return Err(format!("channel {name:?}: {bundle:?} is not a valid name of a bundle"));
        }
        if !names.insert(name) {
            return Err(format!("two channels are named {name:?}: rename one"));
        }
    }
    if file.channel.is_empty() {
        return Err("the file has no channel: add a table [[channel]] with a name and a bundle".into());
    }
    Ok(file.channel.into_iter().map(|entry| Channel::new(entry.name, entry.bundle, entry.version)).collect())
}

fn is_channel_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_read_in_their_order() {
        let text = "[[channel]]\nname = 'stable'\nbundle = 'photo'\nversion = 2\n\
                    [[channel]]\nname = 'next-1'\nbundle = 'photo'\n";
        let channels = parse_channels(text).unwrap();
        let read: Vec<_> =
            channels.iter().map(|channel| (channel.name(), channel.bundle_and_version())).collect();
        assert_eq!(read, [("stable", ("photo", Some(2))), ("next-1", ("photo", None))]);
    }

    #[test]
    fn an_invalid_channel_is_refused_with_its_problem() {
        let stable = "[[channel]]\nname = 'stable'\nbundle = 'photo'\n";
        for (text, expected) in [
            ("", "no channel"),
            ("[[channel]]\nname = 'stable'\n", "bundle"),
            ("[[channel]]\nname = 'Stable'\nbundle = 'photo'\n", "\"Stable\""),
            ("[[channel]]\nname = ''\nbundle = 'photo'\n", "a name has"),
            ("[[channel]]\nname = 'a'\nbundle = '../photo'\n", "not a valid name of a bundle"),
            (&format!("[[channel]]\nname = '{}'\nbundle = 'photo'\n", "a".repeat(65)), "a name has"),
            (&format!("{stable}verson = 2\n"), "verson"),
            (&format!("{stable}version = -1\n"), "version"),
            (&format!("{stable}{stable}"), "two channels"),
            (&format!("{stable}[[channels]]\n"), "channels"),
        ] {
            let error = parse_channels(text).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_unchanged_channel_survives_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channels.toml");
        let load = |version: &str, before| {
            let text = "[[channel]]\nname = 'a'\nbundle = 'x'\n[[channel]]\nname = 'b'\nbundle = 'x'\n";
            fs::write(&path, format!("{text}{version}")).unwrap();
            ChannelFile::load(&path, before).unwrap()
        };
        let before = load("", None);
        let after = load("version = 3\n", Some(&before));
        assert!(Arc::ptr_eq(&before.0[0], &after.0[0]));
        assert!(!Arc::ptr_eq(&before.0[1], &after.0[1]));
    }
}
