//! The lines of the lists of files: a word, and a file in one state.
//!
//! ```text
//! WORD SIZE SECONDS NANOSECONDS LENGTH NAME
//! ```
//! The name is the path in the watched folder. Its bytes other than printable ASCII are escaped; `LENGTH` is the length
//! of the escaped name, so that a line torn by a crash is detected.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use super::fingerprint::Fingerprint;

/// The longest line in bytes: a path has at most 4096 bytes, each escaped as four.
pub(crate) const MAX_LINE_BYTES: usize = 4 * 4096 + 128;

/// A line of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileLine<'a> {
    pub(crate) word: &'a str,
    pub(crate) name: OsString,
    pub(crate) fingerprint: Fingerprint,
}

/// Returns the line of a file, with its line feed.
pub(crate) fn format_line(word: &str, name: &OsStr, fingerprint: Fingerprint) -> String {
    let name = name.as_bytes().escape_ascii().to_string();
    let Fingerprint { seconds, nanoseconds, size_bytes } = fingerprint;
    format!("{word} {size_bytes} {seconds} {nanoseconds} {} {name}\n", name.len())
}

/// Parses a line without its line feed; `None` if it is damaged.
pub(crate) fn parse_line(line: &[u8]) -> Option<FileLine<'_>> {
    let mut fields = std::str::from_utf8(line).ok()?.splitn(6, ' ');
    let word = fields.next()?;
    let size_bytes = fields.next()?.parse().ok()?;
    let seconds = fields.next()?.parse().ok()?;
    let nanoseconds = fields.next()?.parse().ok().filter(|&nanoseconds| nanoseconds < 1_000_000_000)?;
    let length: usize = fields.next()?.parse().ok()?;
    let name = fields.next().filter(|name| name.len() == length)?;
    let name = OsString::from_vec(unescape(name)?);
    Some(FileLine { word, name, fingerprint: Fingerprint { seconds, nanoseconds, size_bytes } })
}

/// Reverses [`escape_ascii`](slice::escape_ascii).
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::new();
    while let Some(&byte) = rest.split_off_first() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.split_off_first()? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => u8::from_str_radix(std::str::from_utf8(rest.split_off(..2)?).ok()?, 16).ok()?,
            other => *other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_survives_its_line(
            name in prop::collection::vec(any::<u8>(), 1..40),
            seconds in any::<i64>(),
            word in "[a-z0-9]{1,9}",
        ) {
            let fingerprint = Fingerprint { seconds, nanoseconds: 8, size_bytes: 9 };
            let name = OsString::from_vec(name);
            let line = format_line(&word, &name, fingerprint);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let parsed = parse_line(line.trim_end_matches('\n').as_bytes());
            prop_assert_eq!(parsed, Some(FileLine { word: &word, name, fingerprint }));
        }

        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..60), text in "[a-z]{1,6} [0-9]{1,3} -?[0-9] [0-9] [0-9] [\\\\a-zé]{0,9}") {
            let _ = parse_line(&line);
            if let Some(line) = parse_line(text.as_bytes()) {
                prop_assert!(line.name.len() <= 9);
            }
        }
    }
}
