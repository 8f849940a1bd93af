use std::{fmt, str::FromStr};

use lopside_delivery::is_valid_device_name;

use crate::{ArchiveError, Device};

/// Maximum number of devices per page.
pub const MAX_PAGE_DEVICES: u32 = 1000;

/// A page of the list of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePage {
    /// The devices, by name.
    pub devices: Vec<Device>,
    /// The start of the next page; `None` if this is the last page.
    pub next: Option<DeviceCursor>,
}

/// A position in the list of devices. Its text is opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCursor(String);

impl DevicePage {
    /// Builds a page from devices that were queried with one more than the page size.
    pub(crate) fn from_devices(mut devices: Vec<Device>, page_size: usize) -> Self {
        let has_more = devices.len() > page_size;
        devices.truncate(page_size);
        let next = devices.last().filter(|_| has_more).map(|last| DeviceCursor(last.name.clone()));
        Self { devices, next }
    }
}

impl DeviceCursor {
    /// Returns the name of the last device of the previous page.
    pub(crate) fn last_name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for DeviceCursor {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        let name = parse_hex(text).filter(|name| is_valid_device_name(name));
        name.map(Self).ok_or_else(|| ArchiveError::InvalidCursor { found: text.chars().take(40).collect() })
    }
}

/// Returns the text whose bytes are given as lower-case hexadecimal digits.
fn parse_hex(text: &str) -> Option<String> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|&[high, low]| Some((digit_value(high)? << 4) | digit_value(low)?)).collect();
    String::from_utf8(bytes.filter(|_| rest.is_empty())?).ok()
}

fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form_and_other_text_is_refused() {
        for name in ["a", "gate-7", "~!", &"x".repeat(128)] {
            let cursor = DeviceCursor(name.to_owned());
            assert_eq!(cursor.to_string().parse::<DeviceCursor>().unwrap(), cursor);
        }
        for text in ["", "6", "6G", "6A", "20", "00", "c3a9", "é", &"61".repeat(129)] {
            let error = text.parse::<DeviceCursor>().unwrap_err();
            assert!(matches!(error, ArchiveError::InvalidCursor { .. }), "{text}: {error}");
        }
    }
}
