use std::{collections::VecDeque, io};

use lopside_delivery::Class;

use crate::{
    File, Storage,
    block::Header,
    number_ranges::NumberRanges,
    segment::{self, Block},
};

/// The reading position of a log.
#[derive(Debug)]
pub(crate) struct Reader<F> {
    /// The number of the next record to read.
    pub(crate) next_number: u64,
    /// The open segment: the number of its first record, its file, and the offset of its next block.
    open_segment: Option<(u64, F, u64)>,
    /// The gaps after the cursor, in ascending order.
    pub(crate) gaps: VecDeque<Gap>,
}

/// A range of records that are not read, because the receiver has them or they are missing on disk.
#[derive(Debug, Clone)]
pub(crate) struct Gap {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The records that are missing. The receiver has the others.
    pub(crate) missing: NumberRanges,
}

impl<F: File> Reader<F> {
    /// Creates a reader whose next record is `next_number`.
    pub(crate) fn from_number(next_number: u64) -> Self {
        Self { next_number, open_segment: None, gaps: VecDeque::new() }
    }

    /// Opens the segment that begins with record `first`, and returns its file and the offset of the next
    /// block.
    pub(crate) fn open_segment<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        class: Class,
        first: u64,
    ) -> io::Result<(&F, &mut u64)> {
        let open = match self.open_segment.take() {
            Some(open) if open.0 == first => open,
            _ => (first, storage.open(&segment::name(class, first))?, 0),
        };
        let (_, file, offset) = self.open_segment.insert(open);
        Ok((file, offset))
    }

    /// Adds a gap that ends before `number`: these records are missing, or the receiver has them.
    pub(crate) fn gap_to(&mut self, number: u64, received: &NumberRanges) {
        if number > self.next_number {
            let (first, last) = (self.next_number, number - 1);
            self.gaps.push_back(Gap { first, last, missing: received.missing_from(&(first..=last)) });
            self.next_number = number;
        }
    }

    /// Moves the reading position forward to `number`, unless it is already past it, and drops the gaps
    /// before `number`.
    pub(crate) fn skip_to(&mut self, number: u64) {
        if number > self.next_number {
            self.next_number = number;
            self.open_segment = None;
        }
        self.gaps.retain(|gap| gap.first >= number);
    }

    /// Removes the records that were read before and those after `last` from a block, and moves the reading
    /// position behind the others. If there are any after `last`, the block is read again.
    pub(crate) fn take_unread(&mut self, mut block: Block, last: u64) -> Block {
        let Header { first_number, .. } = block.header;
        let last = last.min(block.header.last_number());
        if last < block.header.last_number()
            && let Some((_, _, offset)) = &mut self.open_segment
        {
            *offset = block.next_offset - block.header.block_len();
        }
        block.records.truncate((last + 1 - first_number) as usize);
        block.records.drain(..(self.next_number - first_number) as usize);
        block.header.first_number = self.next_number;
        block.header.record_count = block.records.len() as u32;
        self.next_number = last + 1;
        block
    }
}
