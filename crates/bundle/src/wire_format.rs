//! The wire format of protobuf, as far as a scan of messages needs it. Everything that a strict reader refuses is an
//! error here too, and so are groups, which no current message contains: bytes that are read without an error have
//! one meaning for all readers.

/// The largest number of bytes per number: ten with seven bits each hold 64 bits.
const MAX_VARINT_BYTES: u32 = 10;

/// Reason why bytes are not a message.
pub(crate) type WireError = &'static str;

/// A field of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: FieldValue<'a>,
}

/// The value of a field.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FieldValue<'a> {
    Number(u64),
    /// A text, a message, or a list of numbers.
    Bytes(&'a [u8]),
    /// A number of 4 or 8 bytes.
    Fixed,
}

/// The fields of a message, one after the other. There are no more fields after an error.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read_field(&mut self) -> Result<Field<'a>, WireError> {
        let tag = u32::try_from(self.read_number()?).map_err(|_| "the number of a field is too large")?;
        let number = tag >> 3;
        if number == 0 {
            return Err("a field has the number 0");
        }
        let value = match tag & 7 {
            0 => FieldValue::Number(self.read_number()?),
            1 => self.read_bytes(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let length = self.read_number()?;
                FieldValue::Bytes(self.read_bytes(length)?)
            }
            5 => self.read_bytes(4).map(|_| FieldValue::Fixed)?,
            _ => return Err("a field is of an unknown type"),
        };
        Ok(Field { number, value })
    }

    fn read_bytes(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(length).ok().filter(|&length| length <= self.rest.len());
        let (bytes, rest) = self.rest.split_at(length.ok_or("a field is longer than its message")?);
        self.rest = rest;
        Ok(bytes)
    }

    fn read_number(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for index in 0..MAX_VARINT_BYTES {
            let (&byte, rest) = self.rest.split_first().ok_or("a number is incomplete")?;
            self.rest = rest;
            if index + 1 == MAX_VARINT_BYTES && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number has over 64 bits")
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read_field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
        Fields::new(bytes).collect()
    }

    #[test]
    fn every_type_of_field_is_read() {
        let message = [
            &[0x08_u8, 0x96, 0x01][..],
            &[0x12, 2, b'a', b'b'],
            &[0x19, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x25, 1, 2, 3, 4],
            &[0xf8, 0xff, 0xff, 0xff, 0x0f, 0],
            &[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ]
        .concat();
        let field = |number, value| Field { number, value };
        let expected = [
            field(1, FieldValue::Number(150)),
            field(2, FieldValue::Bytes(b"ab")),
            field(3, FieldValue::Fixed),
            field(4, FieldValue::Fixed),
            field((1 << 29) - 1, FieldValue::Number(0)),
            field(5, FieldValue::Number(u64::MAX)),
        ];
        assert_eq!(read(&message).unwrap(), expected);
        assert_eq!(read(b""), Ok(Vec::new()));
    }

    #[test]
    fn each_violation_of_the_format_is_an_error() {
        let cases: [(&[u8], &str); 14] = [
            (&[0x08], "a number is incomplete"),
            (&[0x08, 0x80], "a number is incomplete"),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], "a number has over 64 bits"),
            (
                &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
                "a number has over 64 bits",
            ),
            (&[0x00, 0], "a field has the number 0"),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0], "the number of a field is too large"),
            (&[0x12, 3, b'a', b'b'], "a field is longer than its message"),
            (
                &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                "a field is longer than its message",
            ),
            (&[0x19, 1, 2, 3], "a field is longer than its message"),
            (&[0x25, 1], "a field is longer than its message"),
            (&[0x0b, 0x0c], "a field is of an unknown type"),
            (&[0x0c], "a field is of an unknown type"),
            (&[0x0e], "a field is of an unknown type"),
            (&[0x0f], "a field is of an unknown type"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes), Err(expected), "{bytes:02x?}");
        }
    }
}
