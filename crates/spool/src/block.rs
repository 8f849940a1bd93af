//! A block: the records of one commit, which are written together or not at all.
//!
//! | at | bytes | contents |
//! |---|---|---|
//! | 0 | 4 | `LSpB` |
//! | 4 | 4 | CRC-32C of bytes 8 to 39 |
//! | 8 | 4 | CRC-32C of the body |
//! | 12 | 4 | bytes of the body, without the padding |
//! | 16 | 8 | the number of the first record |
//! | 24 | 4 | number of records, at least one |
//! | 28 | 4 | the time of the commit in Unix seconds, 0 if it is unknown |
//! | 32 | 8 | the epoch of the process that wrote it |
//! | 40 | … | the body: each record as its length (LEB128) and its bytes |
//! | | 0 to 7 | zeros, up to a multiple of 8 |
//!
//! Numbers are little-endian. Blocks begin at multiples of 8, so that the next one can be found after damage.
//! An intact header contains the length of its block, whatever the condition of the body.

/// Size of a header in bytes.
pub const HEADER_BYTES: usize = 40;
/// Blocks begin at multiples of this many bytes.
pub const ALIGNMENT: u64 = 8;

const MAGIC: [u8; 4] = *b"LSpB";

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The number of the first record.
    pub first_number: u64,
    /// Number of records, at least one.
    pub record_count: u32,
    /// Size of the body in bytes, without the padding.
    pub body_bytes: u32,
    /// The CRC-32C of the body.
    pub checksum: u32,
    /// The time of the commit in Unix seconds; 0 if it is unknown.
    pub written_s: u32,
    /// The epoch of the process that wrote the block.
    pub epoch: u64,
}

impl Header {
    /// Parses a header. Returns `None` if it is damaged.
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC || read_u32(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let header = Self {
            first_number: read_u64(bytes, 16),
            record_count: read_u32(bytes, 24),
            body_bytes: read_u32(bytes, 12),
            checksum: read_u32(bytes, 8),
            written_s: read_u32(bytes, 28),
            epoch: read_u64(bytes, 32),
        };
        (header.record_count > 0 && header.first_number.checked_add(header.record_count.into()).is_some())
            .then_some(header)
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.record_count.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.written_s.to_le_bytes());
        bytes[32..].copy_from_slice(&self.epoch.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Returns the number of the last record.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.first_number + u64::from(self.record_count) - 1
    }

    /// Returns the size of the block in bytes, including header and padding.
    #[must_use]
    pub fn block_len(&self) -> u64 {
        pad_len(HEADER_BYTES as u64 + u64::from(self.body_bytes))
    }

    /// Returns the records of a body, or `None` if the body is damaged.
    #[must_use]
    pub fn parse_records<'a>(&self, body: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        if body.len() != self.body_bytes as usize || crc32c::crc32c(body) != self.checksum {
            return None;
        }
        let mut rest = body;
        let mut records = Vec::new();
        while !rest.is_empty() {
            let len = read_varint(&mut rest)?;
            records.push(rest.split_off(..usize::try_from(len).ok()?)?);
        }
        (records.len() == self.record_count as usize).then_some(records)
    }
}

/// A block under construction, to which records are added.
#[derive(Debug)]
pub struct BlockBuilder {
    first: u64,
    epoch: u64,
    records: u32,
    /// Space for the header, followed by the body.
    bytes: Vec<u8>,
}

impl BlockBuilder {
    /// Creates an empty block whose first record will have the number `first`.
    #[must_use]
    pub fn new(first: u64, epoch: u64) -> Self {
        Self { first, epoch, records: 0, bytes: vec![0; HEADER_BYTES] }
    }

    /// Returns the number of the last record; for an empty block, the number before its first record.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        (self.first + u64::from(self.records)).saturating_sub(1)
    }

    /// Returns whether the block is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Returns the size of the block in bytes if a further record of `record` bytes is added.
    #[must_use]
    pub fn len_with(&self, record: usize) -> u64 {
        pad_len((self.bytes.len() + varint_len(record) + record) as u64)
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        write_varint(&mut self.bytes, record.len() as u64);
        self.bytes.extend_from_slice(record);
        self.records += 1;
    }

    /// Completes the header and the padding, and returns the bytes of the block. `written_s` is the time of the commit
    /// in Unix seconds, 0 if it is unknown.
    #[must_use]
    pub fn finish(mut self, written_s: u32) -> Vec<u8> {
        let body = &self.bytes[HEADER_BYTES..];
        let header = Header {
            first_number: self.first,
            record_count: self.records,
            body_bytes: body.len() as u32,
            checksum: crc32c::crc32c(body),
            written_s,
            epoch: self.epoch,
        };
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        self.bytes.resize(header.block_len() as usize, 0);
        self.bytes
    }
}

fn read_u32(bytes: &[u8; HEADER_BYTES], offset: usize) -> u32 {
    u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

fn read_u64(bytes: &[u8; HEADER_BYTES], offset: usize) -> u64 {
    u64::from(read_u32(bytes, offset)) | u64::from(read_u32(bytes, offset + 4)) << 32
}

fn pad_len(len: u64) -> u64 {
    len.next_multiple_of(ALIGNMENT)
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - value.leading_zeros()).div_ceil(7).max(1) as usize
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(first: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = BlockBuilder::new(first, 9);
        for record in records {
            builder.push(record);
        }
        builder.finish(772)
    }

    fn header(bytes: &[u8]) -> Option<Header> {
        Header::parse(bytes.first_chunk()?)
    }

    #[test]
    fn the_bytes_match_the_documented_format() {
        let bytes = block(258, &[b"ab".to_vec(), Vec::new()]);
        assert_eq!((&bytes[..4], bytes.len()), (&b"LSpB"[..], 48));
        assert_eq!(
            bytes[12..40],
            [4, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 3, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bytes[40..], [2, b'a', b'b', 0, 0, 0, 0, 0]);
        let header = header(&bytes).unwrap();
        assert_eq!(
            (header.first_number, header.last_number(), header.block_len(), header.epoch),
            (258, 259, 48, 9)
        );
        assert_eq!(header.written_s, 772);
    }

    proptest! {
        #[test]
        fn records_survive_a_round_trip(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20)) {
            let mut builder = BlockBuilder::new(1, 2);
            for record in &records {
                let expected = builder.len_with(record.len());
                builder.push(record);
                prop_assert_eq!(pad_len(builder.bytes.len() as u64), expected);
            }
            let bytes = builder.finish(0);
            let header = header(&bytes).unwrap();
            prop_assert_eq!(header.block_len(), bytes.len() as u64);
            let body = &bytes[HEADER_BYTES..][..header.body_bytes as usize];
            prop_assert_eq!(header.parse_records(body).unwrap(), records);
        }

        #[test]
        fn one_changed_bit_is_detected(bit in 0_usize..8 * 60, records in prop::collection::vec(prop::collection::vec(any::<u8>(), 10), 2..4)) {
            let mut bytes = block(7, &records);
            let block_len = HEADER_BYTES + header(&bytes).unwrap().body_bytes as usize;
            let bit = bit % (8 * block_len);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let parsed = header(&bytes).and_then(|header| header.parse_records(bytes.get(HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize)?).map(|records| records.len()));
            prop_assert_eq!(parsed, None);
        }
    }
}
