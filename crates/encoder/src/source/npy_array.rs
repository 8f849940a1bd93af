//! Arrays in the `.npy` format, with a header and values that are not trusted.
//!
//! ```text
//! "\x93NUMPY" · major · minor · length of the header (u16 in version 1, otherwise u32) · header · values
//! ```
//! The header is a dictionary in Python's notation, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//! It has at most 64 KiB and is read without recursion. The number of values that its shape declares is compared
//! with the limit before the first value is read, and memory grows with the values that arrive.

use std::{
    io::{self, Read},
    path::Path,
};

use lopside_input::InputLimits;

use super::{InputError, content_error, invalid_file};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Maximum length of the header in bytes.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// Maximum length of a part of the header in a message, in characters.
const MAX_SHOWN_CHARS: usize = 40;
/// Number of values per read.
const CHUNK_VALUES: usize = 1 << 14;

/// An array whose header was read.
pub(super) struct NpyArray {
    pub(super) shape: Vec<u64>,
    /// The type as written in the header.
    descr: String,
    /// Number of values.
    count: usize,
    reader: Box<dyn Read>,
}

/// The type of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueType {
    Byte,
    Float(ByteOrder),
    Double(ByteOrder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteOrder {
    Little,
    Big,
}

/// The entries of the header.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: String,
    is_fortran: bool,
    shape: Vec<u64>,
}

impl NpyArray {
    /// Reads the header of an array in C order.
    pub(super) fn open(
        path: &Path,
        mut reader: Box<dyn Read>,
        limits: &InputLimits,
    ) -> Result<Self, InputError> {
        let text = read_header(path, &mut reader)?;
        let header = HeaderText(&text).parse();
        let Header { descr, is_fortran, shape } =
            header.map_err(|reason| invalid_file(path, &format!("not a readable .npy file: {reason}")))?;
        if is_fortran {
            return Err(invalid_file(
                path,
                "the array is in Fortran order: save it with numpy.ascontiguousarray",
            ));
        }
        let count = shape.iter().try_fold(1_u64, |count, &extent| count.checked_mul(extent));
        match count.and_then(|count| usize::try_from(count).ok()) {
            Some(count) if count as u64 <= limits.max_values => Ok(Self { shape, descr, count, reader }),
            _ => {
                let limit = limits.max_values;
                Err(invalid_file(path, &format!("the array has over {limit} values, the limit: split it")))
            }
        }
    }

    /// Reads 32- or 64-bit floats, all of which must be finite.
    pub(super) fn read_floats(self, path: &Path) -> Result<Vec<f32>, InputError> {
        let numbers = match ValueType::parse(&self.descr) {
            Some(ValueType::Float(order)) => self.read_values(path, |bytes| Ok(order.float(bytes)))?,
            Some(ValueType::Double(order)) => {
                self.read_values(path, |bytes| Ok(order.double(bytes) as f32))?
            }
            _ => return Err(self.unsupported_type(path, "float32 or float64")),
        };
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(index) => {
                Err(invalid_file(path, &format!("number {index} is {}: use finite numbers", numbers[index])))
            }
            None => Ok(numbers),
        }
    }

    /// Reads samples of images: bytes, or 32-bit floats of 0 to 1.
    pub(super) fn read_samples(self, path: &Path) -> Result<Vec<u8>, InputError> {
        match ValueType::parse(&self.descr) {
            Some(ValueType::Byte) => self.read_values(path, |[sample]: [u8; 1]| Ok(sample)),
            Some(ValueType::Float(order)) => self.read_values(path, |bytes| {
                let sample = order.float(bytes);
                if (0.0..=1.0).contains(&sample) {
                    Ok((sample * 255.0).round() as u8)
                } else {
                    Err(format!("float samples must be 0 to 1, but one is {sample}"))
                }
            }),
            _ => Err(self.unsupported_type(path, "uint8, or float32 with values of 0 to 1")),
        }
    }

    /// Reads and converts the values, `BYTES` bytes each.
    fn read_values<const BYTES: usize, T>(
        mut self,
        path: &Path,
        convert: impl Fn([u8; BYTES]) -> Result<T, String>,
    ) -> Result<Vec<T>, InputError> {
        let mut values = Vec::new();
        let mut buffer = vec![0; self.count.min(CHUNK_VALUES) * BYTES];
        while values.len() < self.count {
            let missing = (self.count - values.len()).min(CHUNK_VALUES);
            let chunk = &mut buffer[..missing * BYTES];
            self.reader.read_exact(chunk).map_err(|error| npy_error(path, &error))?;
            reserve(&mut values, missing, self.count);
            for bytes in chunk.as_chunks::<BYTES>().0 {
                values.push(convert(*bytes).map_err(|reason| invalid_file(path, &reason))?);
            }
        }
        Ok(values)
    }

    fn unsupported_type(&self, path: &Path, supported: &str) -> InputError {
        invalid_file(path, &format!("the type '{}' is not supported: use {supported}", shorten(&self.descr)))
    }
}

/// Makes room for `more` values. The capacity doubles like that of any vector, but not beyond `total`.
pub(super) fn reserve<T>(values: &mut Vec<T>, more: usize, total: usize) {
    let needed = values.len() + more;
    if needed > values.capacity() {
        let capacity = (2 * values.capacity()).min(total).max(needed);
        values.reserve_exact(capacity - values.len());
    }
}

/// Reads everything before the values, and returns the text of the header.
fn read_header(path: &Path, reader: &mut dyn Read) -> Result<String, InputError> {
    let invalid = |reason: &str| invalid_file(path, &format!("not a readable .npy file: {reason}"));
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(|error| npy_error(path, &error))?;
    let [magic @ .., major, _minor] = start;
    if magic != *MAGIC {
        return Err(invalid("it does not begin like one"));
    }
    let mut length = [0; 4];
    let length_bytes = match major {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(invalid(&format!("version {major} is not supported"))),
    };
    reader.read_exact(&mut length[..length_bytes]).map_err(|error| npy_error(path, &error))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER_BYTES {
        return Err(invalid(&format!("its header has {length} bytes, over the limit of {MAX_HEADER_BYTES}")));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(|error| npy_error(path, &error))?;
    String::from_utf8(text).map_err(|_| invalid("its header is not UTF-8"))
}

fn npy_error(path: &Path, error: &io::Error) -> InputError {
    content_error(path, "not a readable .npy file", error)
}

/// The rest of a header that was read in part.
struct HeaderText<'a>(&'a str);

impl<'a> HeaderText<'a> {
    fn parse(mut self) -> Result<Header, String> {
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.skip('}') {
            let key = self.quoted()?;
            self.expect(':')?;
            match key {
                "descr" => descr = Some(self.quoted()?.to_owned()),
                "fortran_order" => is_fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.extents()?),
                _ => return Err(format!("its header has an unknown entry {:?}", shorten(key))),
            }
            if !self.skip(',') {
                self.expect('}')?;
                break;
            }
        }
        match (descr, is_fortran, shape) {
            (Some(descr), Some(is_fortran), Some(shape)) if self.0.trim().is_empty() => {
                Ok(Header { descr, is_fortran, shape })
            }
            (Some(_), Some(_), Some(_)) => Err(self.unexpected("the end of its header")),
            _ => Err("its header lacks descr, fortran_order or shape".into()),
        }
    }

    /// Skips white space and this character; returns false if another one follows.
    fn skip(&mut self, character: char) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(character);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, character: char) -> Result<(), String> {
        if self.skip(character) { Ok(()) } else { Err(self.unexpected(&format!("{character:?}"))) }
    }

    /// Reads a text in quotes. A structured type, which is a list, is not one.
    fn quoted(&mut self) -> Result<&'a str, String> {
        let quote = if self.skip('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (text, rest) = self.0.split_once(quote).ok_or("a text in its header is not closed")?;
        self.0 = rest;
        Ok(text)
    }

    /// Reads letters and digits; an empty text if another character follows.
    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match self.word() {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err(self.unexpected("True or False")),
        }
    }

    /// Reads a tuple or a list of numbers. Python 2 ends long ones with an L.
    fn extents(&mut self) -> Result<Vec<u64>, String> {
        let end = if self.skip('[') { ']' } else { ')' };
        if end == ')' {
            self.expect('(')?;
        }
        let mut extents = Vec::new();
        while !self.skip(end) {
            let word = self.word();
            let digits = word.strip_suffix('L').unwrap_or(word);
            let extent = digits.parse::<u64>().map_err(|_| self.unexpected("an extent of its shape"))?;
            extents.push(extent);
            if !self.skip(',') {
                self.expect(end)?;
                break;
            }
        }
        Ok(extents)
    }

    fn unexpected(&self, expected: &str) -> String {
        format!("its header lacks {expected} before {:?}", shorten(self.0.trim_start()))
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

impl ValueType {
    /// Returns the type of a description such as `<f4`; `None` if it is not supported.
    fn parse(descr: &str) -> Option<Self> {
        let (order, code) = match descr.split_at_checked(1)? {
            (">", code) => (ByteOrder::Big, code),
            ("<" | "|" | "=", code) => (ByteOrder::Little, code),
            _ => (ByteOrder::Little, descr),
        };
        match code {
            "u1" => Some(Self::Byte),
            "f4" => Some(Self::Float(order)),
            "f8" => Some(Self::Double(order)),
            _ => None,
        }
    }
}

impl ByteOrder {
    fn float(self, bytes: [u8; 4]) -> f32 {
        match self {
            Self::Little => f32::from_le_bytes(bytes),
            Self::Big => f32::from_be_bytes(bytes),
        }
    }

    fn double(self, bytes: [u8; 8]) -> f64 {
        match self {
            Self::Little => f64::from_le_bytes(bytes),
            Self::Big => f64::from_be_bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, String> {
        HeaderText(text).parse()
    }

    #[test]
    fn headers_of_all_writers_are_read() {
        for (text, shape) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }     \n", &[3, 4][..]),
            ("{\"shape\":[3,4],\"descr\":\"<f4\",\"fortran_order\":False}", &[3, 4]),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3L,)}", &[3]),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", &[]),
            (" { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 0 , ) , } ", &[0]),
        ] {
            let header = Header { descr: "<f4".into(), is_fortran: false, shape: shape.to_vec() };
            assert_eq!(parse(text), Ok(header), "{text}");
        }
        assert!(parse("{'descr': '<f4', 'fortran_order': True, 'shape': (3,)}").unwrap().is_fortran);
    }

    #[test]
    fn each_defect_of_a_header_is_named() {
        for (text, expected) in [
            ("", "lacks '{'"),
            ("{", "lacks '\\''"),
            ("{'descr': '<f4', 'fortran_order': False}", "lacks descr, fortran_order or shape"),
            ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': ()}", "before \"[('x'"),
            ("{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}", "lacks True or False"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "an extent of its shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "lacks ')'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}", "an extent"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "the end of its header"),
            ("{'descr': '<f4, 'shape': ()}", "lacks '}'"),
            ("{'other': 1}", "unknown entry \"other\""),
            ("{'descr", "is not closed"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse(&"(".repeat(MAX_HEADER_BYTES)).is_err());
        assert!(parse(&format!("{{'shape': {}", "(".repeat(MAX_HEADER_BYTES))).unwrap_err().len() < 200);
    }

    #[test]
    fn capacity_never_exceeds_the_total() {
        let mut values: Vec<u8> = Vec::new();
        for total in [10, 100, 1000] {
            while values.len() < total {
                let more = 7_usize.min(total - values.len());
                reserve(&mut values, more, total);
                values.resize((values.len() + 7).min(total), 0);
                assert!(values.capacity() <= total, "{} of {total}", values.capacity());
            }
        }
    }
}
