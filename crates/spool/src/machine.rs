/// The id of a machine, as in `/etc/machine-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineId([u8; 16]);

impl MachineId {
    /// Parses 32 hexadecimal digits, which white space may surround. Returns `None` for any other text, such
    /// as the word `uninitialized` of a system that has not drawn its id yet, and for an id of zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim();
        let is_id = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_id.then(|| u128::from_str_radix(digits, 16).ok())??;
        Self::from_bytes(number.to_be_bytes())
    }

    /// Returns the bytes of the id.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the id with these bytes, or `None` if they are zeros.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_hexadecimal_digits_are_an_id() {
        let id = MachineId::parse("0123456789abcdef0123456789ABCDEF\n").unwrap();
        assert_eq!((id.to_bytes()[..3].to_vec(), id.to_bytes()[15]), (vec![0x01, 0x23, 0x45], 0xef));
        assert_eq!(MachineId::from_bytes(id.to_bytes()), Some(id));
        for other in [
            "",
            "uninitialized\n",
            "0123456789abcdef",
            "+123456789abcdef0123456789abcdef",
            "01234567-89ab-cdef-0123-456789abcdef",
            "00000000000000000000000000000000",
        ] {
            assert_eq!(MachineId::parse(other), None, "{other:?}");
        }
    }
}
