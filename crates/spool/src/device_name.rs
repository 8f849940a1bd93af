use std::{fmt, str};

use lopside_delivery::{MAX_DEVICE_NAME_BYTES, is_valid_device_name};

/// Size of a name on disk, in bytes.
pub(crate) const NAME_BYTES: usize = MAX_DEVICE_NAME_BYTES;

/// The name of the device that a spool belongs to: 1 to 128 visible ASCII characters, followed by zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceName([u8; NAME_BYTES]);

impl DeviceName {
    /// Parses a name. Returns `None` for a text that is not the [name of a device](is_valid_device_name).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES];
        let is_valid = is_valid_device_name(name);
        bytes.get_mut(..name.len()).filter(|_| is_valid)?.copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        // The characters are ASCII.
        str::from_utf8(name).unwrap_or_default()
    }

    /// Returns the bytes of the name on disk.
    pub(crate) fn to_bytes(self) -> [u8; NAME_BYTES] {
        self.0
    }

    /// Returns the name with these bytes on disk, or `None` if they are not a name followed by zeros.
    pub(crate) fn from_bytes(bytes: [u8; NAME_BYTES]) -> Option<Self> {
        let name = Self(bytes);
        Self::parse(name.as_str()).filter(|parsed| *parsed == name)
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("DeviceName").field(&self.as_str()).finish()
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_bytes() {
        for text in ["gate-7", "!", &"x".repeat(NAME_BYTES)] {
            let name = DeviceName::parse(text).unwrap();
            assert_eq!((name.as_str(), &name.to_string()[..]), (text, text));
            assert_eq!(DeviceName::from_bytes(name.to_bytes()), Some(name));
        }
        for text in ["", "two words", "Gerät", "nul\0", &"x".repeat(NAME_BYTES + 1)] {
            assert_eq!(DeviceName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_a_name_are_refused() {
        let mut bytes = [0; NAME_BYTES];
        assert_eq!(DeviceName::from_bytes(bytes), None);
        bytes[0] = 0xff;
        assert_eq!(DeviceName::from_bytes(bytes), None);
        (bytes[0], bytes[2]) = (b'a', b'b');
        assert_eq!(DeviceName::from_bytes(bytes), None, "bytes follow the zeros");
    }
}
