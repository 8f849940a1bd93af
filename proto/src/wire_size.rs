//! An upper bound on the memory that a message occupies when it is decoded, found before it is decoded.
//!
//! On the wire, an empty element of a list takes two bytes. Decoded, it takes a struct: an input of a `ModelInferRequest`
//! about 200 bytes, and twice as much in a list that has just grown. A scan follows the tags as prost does, and adds:
//!
//! | field | bytes |
//! |---|---|
//! | string, or bytes that are copied | the length, and the bookkeeping of an allocation |
//! | list | two places per element and two in reserve, because a `Vec` doubles and begins with four |
//! | map | three places per entry and one in reserve, because a `HashMap` doubles when it is filled to 7/8 |
//! | everything else | 0: it is part of its message's struct, or a slice of what was received |
//!
//! Elements that replace each other count all. While a list or a map moves to its next size, the previous one is in memory
//! for a moment as well, which is half as much again and is not counted.
//!
//! The scan stops at the limit, and at the first error of the wire format: prost stops there as well, and reports it. It
//! never reads the contents of strings and bytes, so that a message with a frame of 16 MB costs as much as one with a
//! short frame. Of packed numbers of variable length it counts the last bytes, at several bytes per cycle. In a message of
//! many small elements it takes less time than prost, which reads the same tags and allocates.

use std::fmt;

use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::layout::{Content, Field, Layout, Repetition};

/// The bound on the memory of a request: clients are not trusted. Numbers of 4 bytes take twice their size at most.
const REQUEST_BOUND: Bound = Bound { factor: 4, extra: 1 << 20 };
/// The bound on the memory of a response. Class scores with short labels take about 7 times their size.
const RESPONSE_BOUND: Bound = Bound { factor: 16, extra: 16 << 20 };
/// Bound on the bookkeeping of one allocation, and on what it is rounded up by.
const ALLOCATION_BYTES: usize = 32;

/// A bound on the memory of a decoded message.
#[derive(Debug, Clone, Copy)]
struct Bound {
    /// Bytes per byte of the message.
    factor: usize,
    /// Further bytes.
    extra: usize,
}

/// A message would occupy far more memory than it is long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AmplifiedMessage {
    wire_bytes: usize,
    limit: usize,
}

/// The reason why a scan ends early.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// The message would occupy too much memory.
    LimitReached,
    /// The wire format is violated, which prost reports.
    Undecodable,
}

/// The state of a scan.
#[derive(Debug)]
struct Scan {
    /// Bytes that the elements so far occupy.
    bytes: usize,
    limit: usize,
}

/// Checks that a message does not occupy far more memory than it is long. A message that cannot be decoded passes if its
/// beginning does.
///
/// # Errors
/// [`AmplifiedMessage`].
pub(crate) fn check_size<M: Layout>(message: &[u8]) -> Result<(), AmplifiedMessage> {
    let Bound { factor, extra } = if M::IS_REQUEST { REQUEST_BOUND } else { RESPONSE_BOUND };
    let limit = message.len().saturating_mul(factor).saturating_add(extra);
    let mut scan = Scan { bytes: 0, limit };
    let mut rest = message;
    match scan.read_fields(M::FIELDS, &mut rest, 0) {
        Err(Stop::LimitReached) => Err(AmplifiedMessage { wire_bytes: message.len(), limit }),
        Ok(()) | Err(Stop::Undecodable) => Ok(()),
    }
}

impl Scan {
    /// Reads the fields of a message until only `end` bytes are left. Messages do not contain themselves, so the depth
    /// of the calls is that of the `.proto` files.
    fn read_fields(&mut self, fields: &[Field], rest: &mut &[u8], end: usize) -> Result<(), Stop> {
        // One bit per field. A field beyond the last bit always counts as the first of its kind.
        let mut seen = 0_u64;
        while rest.len() > end {
            let (number, wire_type) = decode_key(rest)?;
            match fields.iter().position(|field| field.number == number) {
                Some(index) => {
                    let bit = 1_u64.checked_shl(index as u32).unwrap_or(0);
                    self.read_field(&fields[index], seen & bit == 0, wire_type, rest)?;
                    seen |= bit;
                }
                None => skip_field(wire_type, number, rest, DecodeContext::default())?,
            }
        }
        // An element may not reach beyond the end of its message.
        if rest.len() == end { Ok(()) } else { Err(Stop::Undecodable) }
    }

    /// Reads one occurrence of a field. One of another wire type is skipped: prost ends there.
    fn read_field(
        &mut self,
        field: &Field,
        is_first: bool,
        wire_type: WireType,
        rest: &mut &[u8],
    ) -> Result<(), Stop> {
        let elements = match (&field.content, wire_type) {
            (Content::Varint, WireType::LengthDelimited) => count_varints(take_bytes(rest)?),
            (Content::Fixed { bytes }, WireType::LengthDelimited) => take_bytes(rest)?.len().div_ceil(*bytes),
            (Content::Copied, WireType::LengthDelimited) => {
                self.add(take_bytes(rest)?.len().saturating_add(ALLOCATION_BYTES))?;
                1
            }
            (Content::Message { fields }, WireType::LengthDelimited) => {
                self.read_message(fields, rest)?;
                1
            }
            _ => {
                skip_field(wire_type, field.number, rest, DecodeContext::default())?;
                1
            }
        };
        self.add(field.repetition.bytes(elements, is_first))
    }

    fn read_message(&mut self, fields: &[Field], rest: &mut &[u8]) -> Result<(), Stop> {
        let len = decode_varint(rest)?;
        let end = usize::try_from(len).ok().and_then(|len| rest.len().checked_sub(len));
        self.read_fields(fields, rest, end.ok_or(Stop::Undecodable)?)
    }

    fn add(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limit { Err(Stop::LimitReached) } else { Ok(()) }
    }
}

impl Repetition {
    /// Returns the bytes of this many further elements in their list or map; `is_first` is true for the first time.
    fn bytes(&self, elements: usize, is_first: bool) -> usize {
        let (element_bytes, places, reserve) = match self {
            Self::Once => return 0,
            Self::List { element_bytes } => (*element_bytes, 2, 2),
            // A byte more per place says whether the place is used.
            Self::Map { entry_bytes } => (entry_bytes + 1, 3, 1),
        };
        let bytes = elements.saturating_mul(places * element_bytes);
        if is_first { bytes.saturating_add(reserve * element_bytes + ALLOCATION_BYTES) } else { bytes }
    }
}

/// Removes a length and that many bytes from the beginning of `rest`, and returns the bytes.
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    let len = usize::try_from(decode_varint(rest)?).map_err(|_| Stop::Undecodable)?;
    let (bytes, after) = rest.split_at_checked(len).ok_or(Stop::Undecodable)?;
    *rest = after;
    Ok(bytes)
}

/// Returns the number of packed numbers, including one whose end is missing.
fn count_varints(packed: &[u8]) -> usize {
    let complete = packed.iter().filter(|byte| **byte < 0x80).count();
    complete + usize::from(packed.last().is_some_and(|byte| *byte >= 0x80))
}

impl From<DecodeError> for Stop {
    fn from(_: DecodeError) -> Self {
        Self::Undecodable
    }
}

impl fmt::Display for AmplifiedMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wire_bytes, limit } = self;
        write!(
            formatter,
            "the message of {wire_bytes} bytes would occupy more than {limit} bytes of memory, because it has many \
             empty or very small elements: send fewer of them in one message, or numbers as raw bytes"
        )
    }
}

#[cfg(test)]
mod tests;
