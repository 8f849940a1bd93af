//! A segment: a file of blocks of one class, one after the other, from the record on that its name says.
//!
//! The last segment of a class is being written: its file is longer than what is in it, and zeros follow. When it is
//! full it is cut off behind its last block, and never written again; so is one that a crash has left, whose blocks
//! count up to the last one that is whole. Bytes in between that are no block are damage.

use std::io;

use crate::{
    Class, File,
    block::{ALIGNMENT, HEADER, Header},
};

/// Bytes that are read at once while a block is looked for.
const WINDOW: usize = 64 << 10;
// So that windows which overlap by a header begin where blocks do.
const _: () = assert!((WINDOW - HEADER).is_multiple_of(ALIGNMENT as usize));

/// A block in a segment, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Its records.
    pub records: Vec<Vec<u8>>,
    /// Where the next one begins.
    pub end: u64,
}

/// The name of a segment.
#[must_use]
pub fn name(class: Class, first: u64) -> String {
    format!("{class}-{first:016x}.log")
}

/// Class and first number of a segment's name; none of another name.
#[must_use]
pub fn parse(name: &str) -> Option<(Class, u64)> {
    let (class, first) = name.strip_suffix(".log")?.split_once('-')?;
    let class = Class::ALL.into_iter().find(|known| known.name() == class)?;
    let first = (first.len() == 16).then(|| u64::from_str_radix(first, 16).ok())??;
    Some((class, first))
}

/// The first whole block from `offset` on that ends by `limit`; what is before it is no block.
///
/// # Errors
/// What the system says.
pub fn next<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<Block>> {
    let mut at = offset;
    loop {
        // Nearly always it is right there.
        let found = match header(file, at, limit)? {
            Some(header) => Some((at, header)),
            None => next_header(file, at, limit)?,
        };
        let Some((start, header)) = found else { return Ok(None) };
        let end = start.saturating_add(header.block_len());
        if let Some(records) = records(file, start, header, limit)? {
            return Ok(Some(Block { header, records, end }));
        }
        at = end;
    }
}

/// Whether there is anything but zeros between.
///
/// # Errors
/// What the system says.
pub fn has_bytes<F: File>(file: &F, from: u64, to: u64) -> io::Result<bool> {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at < to {
        let wanted = WINDOW.min(usize::try_from(to - at).unwrap_or(WINDOW));
        let read = file.read_at(at, &mut window[..wanted])?;
        if read == 0 {
            break;
        }
        if window[..read].iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        at += read as u64;
    }
    Ok(false)
}

/// The header that is there.
fn header<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER];
    if offset.checked_add(HEADER as u64).is_none_or(|end| end > limit) {
        return Ok(None);
    }
    let read = file.read_at(offset, &mut bytes)?;
    Ok((read == HEADER).then(|| Header::parse(&bytes)).flatten())
}

/// The first whole header at a multiple of 8.
fn next_header<F: File>(file: &F, offset: u64, limit: u64) -> io::Result<Option<(u64, Header)>> {
    let mut window = vec![0; WINDOW];
    let mut start = offset;
    while start + HEADER as u64 <= limit {
        let wanted = WINDOW.min(usize::try_from(limit - start).unwrap_or(WINDOW));
        let read = file.read_at(start, &mut window[..wanted])?;
        for at in (0..read).step_by(ALIGNMENT as usize) {
            let Some(bytes) = window[..read].get(at..).and_then(<[u8]>::first_chunk) else { break };
            if let Some(header) = Header::parse(bytes) {
                return Ok(Some((start + at as u64, header)));
            }
        }
        if read < wanted || start + read as u64 >= limit {
            break;
        }
        // Again from where a header may begin that the window cuts.
        start += (WINDOW - HEADER) as u64;
    }
    Ok(None)
}

fn records<F: File>(file: &F, start: u64, header: Header, limit: u64) -> io::Result<Option<Vec<Vec<u8>>>> {
    if start.checked_add(header.block_len()).is_none_or(|end| end > limit) {
        return Ok(None);
    }
    let mut body = vec![0; header.body as usize];
    let read = file.read_at(start + HEADER as u64, &mut body)?;
    if read < body.len() {
        return Ok(None);
    }
    Ok(header.records(&body).map(|records| records.into_iter().map(<[u8]>::to_vec).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_class_and_number() {
        assert_eq!(name(Class::High, 258), "high-0000000000000102.log");
        assert_eq!(parse("high-0000000000000102.log"), Some((Class::High, 258)));
        for other in [
            "high-102.log",
            "urgent-0000000000000102.log",
            "high-000000000000010g.log",
            "state",
            "high-0000000000000102",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
