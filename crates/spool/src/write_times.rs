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
    newest: NewestTime,
}

/// The time of the newest record of a segment, in Unix seconds.
#[derive(Debug, Clone, Copy)]
enum NewestTime {
    AtLeast(u32),
    Exactly(u32),
    /// The last block is damaged: it was written before those of the next segment.
    BeforeNextSegment,
}

impl WriteTimes {
    /// Reads the first header of the segment that begins with record `first_number`.
    pub(crate) fn read_first<S: Storage>(
        storage: &S,
        class: Class,
        first_number: u64,
        end: u64,
    ) -> io::Result<Self> {
        let newest = NewestTime::AtLeast(read_first_time(storage, class, first_number, end)?);
        Ok(Self { first_number, end, newest })
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
        if matches!(self.newest, NewestTime::AtLeast(newest_s) if newest_s < time_s) {
            let file = storage.open(&segment::name(class, self.first_number))?;
            self.newest = read_newest(&file, self.end)?;
        }
        match (self.newest, next) {
            (NewestTime::AtLeast(newest_s) | NewestTime::Exactly(newest_s), _) => Ok(newest_s < time_s),
            (NewestTime::BeforeNextSegment, None) => Ok(false),
            (NewestTime::BeforeNextSegment, Some((first_number, end))) => {
                let first_s = read_first_time(storage, class, first_number, end)?;
                // 0 is an unknown time, which bounds nothing.
                Ok(first_s != 0 && first_s < time_s)
            }
        }
    }
}

/// Returns the time in the first header of a segment; [`NEVER_S`] if there is none.
fn read_first_time<S: Storage>(storage: &S, class: Class, first_number: u64, end: u64) -> io::Result<u32> {
    let file = storage.open(&segment::name(class, first_number))?;
    let first_header = segment::find_header(&file, 0, end)?;
    Ok(first_header.map_or(NEVER_S, |(_, header)| header.written_s))
}

/// Returns the time of the newest block. A block of unknown time was written before the blocks behind it, so only the
/// time of the last one has to be known.
fn read_newest<F: File>(file: &F, end: u64) -> io::Result<NewestTime> {
    let (mut offset, mut newest_s, mut last_s) = (0, 0, 0);
    while let Some((start, header)) = segment::find_header(file, offset, end)? {
        offset = start.saturating_add(header.block_len());
        last_s = header.written_s;
        newest_s = newest_s.max(last_s);
    }
    if offset < end {
        return Ok(NewestTime::BeforeNextSegment);
    }
    Ok(NewestTime::Exactly(if last_s == 0 { NEVER_S } else { newest_s }))
}
