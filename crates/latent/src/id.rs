use std::{fmt, str::FromStr};

use crate::LatentError;

/// The id of a latent space: the first 8 bytes of a SHA-256 digest of the encoder, the preprocessing, the
/// quantiser and the tables. It is printed as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LatentSpaceId([u8; 8]);

impl LatentSpaceId {
    /// Creates an id from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in wire order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for LatentSpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LatentSpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LatentSpaceId({self})")
    }
}

impl FromStr for LatentSpaceId {
    type Err = LatentError;

    fn from_str(text: &str) -> Result<Self, LatentError> {
        if text.len() != 16 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad_id(text));
        }
        let value = u64::from_str_radix(text, 16).map_err(|_| bad_id(text))?;
        Ok(Self(value.to_be_bytes()))
    }
}

fn bad_id(text: &str) -> LatentError {
    LatentError::BadId { found: text.chars().take(40).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let id = LatentSpaceId::new([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(id.to_string(), "0123456789abcdef");
        assert_eq!("0123456789abcdef".parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0123", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdef0", "ééééàààà"]
        {
            assert!(text.parse::<LatentSpaceId>().is_err(), "{text}");
        }
    }
}
