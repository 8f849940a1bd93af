use std::io;

use lopside_delivery::Class;

use crate::{File, Storage, segment};

/// The time of a record that does not expire.
const NEVER_S: u32 = u32::MAX;

/// The times at which the records of a segment were written, read as far as they matter: from the first header, or
/// from all of them.
#[derive(Debug)]
pub(crate) struct WriteTimes {
    first_number: u64,
    /// Offset at which the blocks of the segment end.
    end: u64,
    /// A lower bound on the time of the newest record, in Unix seconds.
    newest_s: u32,
    /// Whether the bound is the time itself.
    is_exact: bool,
}

impl WriteTimes {
    /// Reads the first header of the segment that begins with record `first_number`.
    pub(crate) fn read_first<S: Storage>(
        storage: &S,
        class: Class,
        first_number: u64,
        end: u64,
    ) -> io::Result<Self> {
        let file = storage.open(&segment::name(class, first_number))?;
        let first_header = segment::find_header(&file, 0, end)?;
        let newest_s = first_header.map_or(NEVER_S, |(_, header)| header.written_s);
        Ok(Self { first_number, end, newest_s, is_exact: false })
    }

    /// Returns whether these are the times of this segment, which has not grown since.
    pub(crate) fn describes(&self, first_number: u64, end: u64) -> bool {
        (self.first_number, self.end) == (first_number, end)
    }

    /// Returns whether all records were written before this time, in Unix seconds. The first header often suffices. If the
    /// last one is damaged, its record was written before those of the next segment, which begins with record `next` and
    /// whose blocks end at an offset.
    pub(crate) fn are_before<S: Storage>(
        &mut self,
        storage: &S,
        class: Class,
        next: Option<(u64, u64)>,
        time_s: u32,
    ) -> io::Result<bool> {
        if self.newest_s >= time_s || self.is_exact {
            return Ok(self.newest_s < time_s);
        }
        let file = storage.open(&segment::name(class, self.first_number))?;
        if let Some(newest_s) = read_newest(&file, self.end)? {
            (self.newest_s, self.is_exact) = (newest_s, true);
            return Ok(newest_s < time_s);
        }
        let Some((first_number, end)) = next else { return Ok(false) };
        let first_s = Self::read_first(storage, class, first_number, end)?.newest_s;
        // 0 is an unknown time, which bounds nothing.
        Ok(first_s != 0 && first_s < time_s)
    }
}

/// Returns the time of the newest block; `None` if the last block is damaged. Another block of unknown time was written
/// before the blocks behind it.
fn read_newest<F: File>(file: &F, end: u64) -> io::Result<Option<u32>> {
    let (mut offset, mut newest_s, mut last_s) = (0, 0, 0);
    while let Some((start, header)) = segment::find_header(file, offset, end)? {
        offset = start.saturating_add(header.block_len());
        last_s = header.written_s;
        newest_s = newest_s.max(last_s);
    }
    if offset < end {
        return Ok(None);
    }
    Ok(Some(if last_s == 0 { NEVER_S } else { newest_s }))
}
