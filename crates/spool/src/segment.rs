//! A segment: a file of consecutive blocks of one class. Its name contains the number of its first record.
//!
//! The last segment of a class is open for writing: the file is longer than its blocks, and zeros follow
//! them. When it is full, it is truncated after its last block and never written again. The same applies to a
//! segment that a crash has left: it ends after its last intact block. Bytes between blocks that do not form
//! a block are damage.

use std::io;

use lopside_delivery::Class;

use crate::{
    File,
    block::{ALIGNMENT, HEADER_BYTES, Header},
};

/// Bytes per read while the code searches for a block.
const WINDOW_BYTES: usize = 64 << 10;
// Consecutive windows overlap by one header, and must begin where blocks can begin.
const _: () = assert!((WINDOW_BYTES - HEADER_BYTES).is_multiple_of(ALIGNMENT as usize));

/// A block that was read from a segment and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header of the block.
    pub header: Header,
    /// The records of the block.
    pub records: Vec<Vec<u8>>,
    /// Offset in the file at which the next block begins.
    pub next_offset: u64,
}

/// A segment of a class: its first record and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of the first record.
    pub(crate) first_number: u64,
    /// Size of the file in bytes.
    pub(crate) bytes: u64,
}

/// Returns the file name of a segment.
#[must_use]
pub fn name(class: Class, first: u64) -> String {
    format!("{class}-{first:016x}.log")
}

/// Parses the class and the first record number of a segment's file name. Returns `None` for any other name, also if
/// it only resembles one: with capital letters, or with the number 0, which no record has.
#[must_use]
pub fn parse(file_name: &str) -> Option<(Class, u64)> {
    let (class, first) = file_name.strip_suffix(".log")?.split_once('-')?;
    let class = Class::ALL.into_iter().find(|known| known.name() == class)?;
    let first = u64::from_str_radix(first, 16).ok()?;
    (first > 0 && name(class, first) == file_name).then_some((class, first))
}

/// Returns the first intact block at or after `offset` that ends by `limit`, or `None`. Bytes that are
/// skipped before it are damage.
///
/// # Errors
/// Returns the I/O error of the operating system.
pub fn next_block<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<Block>> {
    let mut position = offset;
    loop {
        let Some((start, header)) = find_header(file, position, limit)? else { return Ok(None) };
        let end = start.saturating_add(header.block_len());
        if let Some(records) = read_records(file, start, header, limit)? {
            return Ok(Some(Block { header, records, next_offset: end }));
        }
        position = end;
    }
}

/// Returns the first intact header at or after `offset` and its offset, or `None`. The body may be damaged.
///
/// # Errors
/// Returns the I/O error of the operating system.
pub(crate) fn find_header<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<(u64, Header)>> {
    // The block nearly always begins exactly here.
    match read_header(file, offset, limit)? {
        Some(header) => Ok(Some((offset, header))),
        None => next_header(file, offset, limit),
    }
}

/// Returns whether any byte from `start` up to `end` is not zero.
///
/// # Errors
/// Returns the I/O error of the operating system.
pub fn has_bytes<F: File>(file: &F, start: u64, end: u64) -> io::Result<bool> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut position = start;
    while position < end {
        let chunk_len = WINDOW_BYTES.min(usize::try_from(end - position).unwrap_or(WINDOW_BYTES));
        let count = file.read_at(position, &mut window[..chunk_len])?;
        if count == 0 {
            break;
        }
        if window[..count].iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        position += count as u64;
    }
    Ok(false)
}

/// Reads the header at `offset`. Returns `None` if it is damaged or does not end by `limit`.
fn read_header<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    if offset.checked_add(HEADER_BYTES as u64).is_none_or(|end| end > limit) {
        return Ok(None);
    }
    let read = file.read_at(offset, &mut bytes)?;
    Ok((read == HEADER_BYTES).then(|| Header::parse(&bytes)).flatten())
}

/// Searches for the first intact header in steps of [`ALIGNMENT`], beginning at `offset`.
fn next_header<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<(u64, Header)>> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut start = offset;
    while start + HEADER_BYTES as u64 <= limit {
        let chunk_len = WINDOW_BYTES.min(usize::try_from(limit - start).unwrap_or(WINDOW_BYTES));
        let count = file.read_at(start, &mut window[..chunk_len])?;
        for index in (0..count).step_by(ALIGNMENT as usize) {
            let Some(bytes) = window[..count].get(index..).and_then(<[u8]>::first_chunk) else { break };
            if let Some(header) = Header::parse(bytes) {
                return Ok(Some((start + index as u64, header)));
            }
        }
        if count < chunk_len || start + count as u64 >= limit {
            break;
        }
        // A header may straddle the end of the window, so the next window overlaps by one header.
        start += (WINDOW_BYTES - HEADER_BYTES) as u64;
    }
    Ok(None)
}

fn read_records<F: File>(
    file: &F,
    start: u64,
    header: Header,
    limit: u64,
) -> io::Result<Option<Vec<Vec<u8>>>> {
    if start.checked_add(header.block_len()).is_none_or(|end| end > limit) {
        return Ok(None);
    }
    let mut body = vec![0; header.body_bytes as usize];
    let read = file.read_at(start + HEADER_BYTES as u64, &mut body)?;
    if read < body.len() {
        return Ok(None);
    }
    Ok(header.parse_records(&body).map(|records| records.into_iter().map(<[u8]>::to_vec).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_contain_class_and_number() {
        assert_eq!(name(Class::High, 258), "high-0000000000000102.log");
        assert_eq!(parse("high-0000000000000102.log"), Some((Class::High, 258)));
        for other in [
            "high-102.log",
            "urgent-0000000000000102.log",
            "high-000000000000010g.log",
            "high-00000000000001AB.log",
            "high-+000000000000102.log",
            "high-0000000000000000.log",
            "state",
            "high-0000000000000102",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
