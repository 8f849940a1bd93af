//! The log of one class: its segments, the block to be written and the reading position.

use std::{collections::VecDeque, io};

use lopside_delivery::Class;

use crate::{
    File, Storage,
    block::BlockBuilder,
    damage::DamageFiles,
    lock::LockedFolder,
    received_numbers::ReceivedNumbers,
    recovery::RecoveredClass,
    segment::{self, Block, Segment},
    state::Counters,
};

/// The last segment of a log, open for writing.
#[derive(Debug)]
pub(crate) struct ActiveSegment<F> {
    file: F,
    /// The number of the first record, which the file's name contains.
    first_number: u64,
    /// Offset at which the next block is written.
    next_offset: u64,
}

/// The reading position of a log.
#[derive(Debug)]
struct Reader<F> {
    /// The number of the next record to read.
    next_number: u64,
    /// The open segment: the number of its first record, its file, and the offset of its next block.
    open_segment: Option<(u64, F, u64)>,
    /// The gaps after the cursor, in ascending order.
    gaps: VecDeque<Gap>,
}

/// A range of records that are not read, because the receiver has them or they are missing on disk.
#[derive(Debug, Clone, Copy)]
struct Gap {
    first: u64,
    last: u64,
    /// Number of these records that the receiver has. The others are missing.
    received: u64,
}

/// The result of [`ClassLog::settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SettleOutcome {
    /// The last record that is done now.
    pub(crate) cursor: u64,
    /// Number of records that were missing.
    pub(crate) lost: u64,
}

/// The log of one class.
#[derive(Debug)]
pub(crate) struct ClassLog<F> {
    class: Class,
    epoch: u64,
    segments: VecDeque<Segment>,
    active: Option<ActiveSegment<F>>,
    /// The last record that is on disk.
    committed: u64,
    /// The records that the next commit writes as one block.
    pending: BlockBuilder,
    reader: Reader<F>,
    /// No record after this one has been sent, except for records that are settled.
    highest_sent: u64,
    /// The records after the cursor that the receiver has.
    received: ReceivedNumbers,
}

impl<F: File> ClassLog<F> {
    /// Creates a log as recovery found it, with the known cursor and counters of its class.
    pub(crate) fn new(recovered: RecoveredClass, epoch: u64, counters: Counters) -> Self {
        let RecoveredClass { class, committed, segments, .. } = recovered;
        Self {
            class,
            epoch,
            segments,
            active: None,
            committed,
            pending: BlockBuilder::new(committed + 1, epoch),
            reader: Reader { next_number: counters.cursor + 1, open_segment: None, gaps: VecDeque::new() },
            highest_sent: counters.highest_sent,
            received: ReceivedNumbers::default(),
        }
    }

    /// Returns the size of all files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Returns the last record that is on disk.
    pub(crate) fn committed(&self) -> u64 {
        self.committed
    }

    /// Returns whether there are appended records that are not committed.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns the size in bytes of the pending block with a further record of `record` bytes.
    pub(crate) fn len_with(&self, record: usize) -> u64 {
        self.pending.len_with(record)
    }

    /// Returns whether the active segment has space for a block of `block` bytes.
    pub(crate) fn can_fit(&self, block: u64) -> bool {
        let last = self.segments.back().map_or(0, |segment| segment.bytes);
        self.active.as_ref().is_some_and(|active| active.next_offset + block <= last)
    }

    /// Adds a record that fits to the pending block, and returns the number of the record.
    pub(crate) fn push(&mut self, record: &[u8]) -> u64 {
        self.pending.push(record);
        self.pending.last_number()
    }

    /// Writes the pending block to disk, syncs it, and checks that its file is still in the folder.
    pub(crate) fn commit<S: Storage<File = F>>(&mut self, folder: &LockedFolder<S>) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        let last = self.pending.last_number();
        let next = BlockBuilder::new(last + 1, self.epoch);
        let block = std::mem::replace(&mut self.pending, next).finish();
        active.file.write_at(active.next_offset, &block)?;
        active.file.sync()?;
        folder.check_file(&segment::name(self.class, active.first_number), &active.file)?;
        active.next_offset += block.len() as u64;
        self.committed = last;
        Ok(())
    }

    /// Truncates the active segment after its last block and closes it, after a check that its file is still
    /// in the folder. The pending block must have been committed.
    pub(crate) fn seal<S: Storage<File = F>>(&mut self, folder: &LockedFolder<S>) -> io::Result<()> {
        let Some(mut active) = self.active.take() else { return Ok(()) };
        active.file.truncate(active.next_offset)?;
        active.file.sync()?;
        folder.check_file(&segment::name(self.class, active.first_number), &active.file)?;
        if let Some(last) = self.segments.back_mut() {
            last.bytes = active.next_offset;
        }
        Ok(())
    }

    /// Makes a file of `bytes` bytes the active segment.
    pub(crate) fn begin(&mut self, file: F, bytes: u64) {
        let first_number = self.committed + 1;
        self.segments.push_back(Segment { first_number, bytes });
        self.active = Some(ActiveSegment { file, first_number, next_offset: 0 });
    }

    /// Returns the number of the last record of the segment at `index`.
    pub(crate) fn last_number_of(&self, index: usize) -> u64 {
        self.segments.get(index + 1).map_or(self.committed, |next| next.first_number - 1)
    }

    /// Returns the oldest segment and the number of its last record, unless some of its records are in flight
    /// or not committed.
    pub(crate) fn evictable_segment(&self, cursor: u64) -> Option<(Segment, u64)> {
        let oldest = *self.segments.front()?;
        let is_read = self.reader.next_number > oldest.first_number.max(cursor + 1);
        let is_written = self.segments.len() == 1 && self.has_pending();
        (!is_read && !is_written).then(|| (oldest, self.last_number_of(0)))
    }

    /// Removes the oldest segment from the log and returns it. The file stays.
    pub(crate) fn remove_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        if self.segments.is_empty() {
            self.active = None;
        }
        let next = self.segments.front().map_or(self.committed + 1, |segment| segment.first_number);
        self.reader.skip_to(next);
        Some(oldest)
    }

    /// Returns the oldest segment if it is sealed and all its records are done.
    pub(crate) fn finished_segment(&self, cursor: u64) -> Option<Segment> {
        let is_sealed = self.segments.len() > 1 || self.active.is_none();
        self.segments.front().copied().filter(|_| is_sealed && self.last_number_of(0) <= cursor)
    }

    /// Returns the next records as one block, without the leading records that were read before or that the
    /// receiver has; `None` when all committed records have been read. Damage on the way is set aside;
    /// `free_bytes` limits the bytes of all damage together.
    pub(crate) fn read<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        damage_files: &mut DamageFiles,
        free_bytes: u64,
    ) -> io::Result<Option<Block>> {
        while self.reader.next_number <= self.committed {
            let next = self.reader.next_number;
            let index = self.segments.partition_point(|segment| segment.first_number <= next);
            let Some(index) = index.checked_sub(1) else {
                // Records before the oldest segment are gone.
                let first = self.segments.front().map_or(self.committed + 1, |segment| segment.first_number);
                self.reader.gap_to(first, &self.received);
                continue;
            };
            let first = self.segments[index].first_number;
            let limit = self.blocks_end(index);
            let last = self.last_number_of(index);
            let (file, offset) = self.reader.open_segment(storage, self.class, first)?;
            let found = segment::next_block(file, *offset, limit)?;
            let damage =
                *offset..found.as_ref().map_or(limit, |block| block.next_offset - block.header.block_len());
            if damage.start < damage.end {
                damage_files.copy_damage(storage, (self.class, first), file, damage, free_bytes);
            }
            match found {
                Some(block) => {
                    *offset = block.next_offset;
                    if block.header.last_number() > last || block.header.last_number() < next {
                        continue;
                    }
                    self.reader.gap_to(block.header.first_number, &self.received);
                    let received =
                        self.received.end_of_run(self.reader.next_number).min(block.header.last_number());
                    self.reader.gap_to(received + 1, &self.received);
                    if received < block.header.last_number() {
                        return Ok(Some(self.reader.take_unread(block)));
                    }
                }
                None => self.reader.gap_to(last + 1, &self.received),
            }
        }
        Ok(None)
    }

    /// Returns the offset at which the blocks of a segment end.
    fn blocks_end(&self, index: usize) -> u64 {
        match &self.active {
            Some(active) if index + 1 == self.segments.len() => active.next_offset,
            _ => self.segments[index].bytes,
        }
    }

    /// Moves the reading position back to the first record that is not done.
    pub(crate) fn rewind(&mut self, cursor: u64) {
        self.reader = Reader { next_number: cursor + 1, open_segment: None, gaps: VecDeque::new() };
    }

    /// Marks the records up to `number` as possibly sent.
    pub(crate) fn mark_sending(&mut self, number: u64) {
        self.highest_sent = self.highest_sent.max(number);
    }

    /// Stores which records after `cursor` the receiver has. No other records may be in flight.
    pub(crate) fn set_received(&mut self, mut received: ReceivedNumbers, cursor: u64) {
        received.drop_up_to(cursor);
        self.highest_sent = received.last().max(cursor);
        self.received = received;
    }

    /// Returns the last record of the unbroken run after `cursor` that the receiver has; `cursor` if it does not
    /// have the next record.
    pub(crate) fn received_after(&self, cursor: u64) -> u64 {
        self.received.end_of_run(cursor + 1)
    }

    /// Returns the last record that may have been sent.
    pub(crate) fn highest_sent(&self) -> u64 {
        self.highest_sent
    }

    /// Returns the number of the last record that was read.
    pub(crate) fn last_read(&self) -> u64 {
        self.reader.next_number - 1
    }

    /// Marks records up to `number` as done, together with the gaps that directly follow them.
    pub(crate) fn settle(&mut self, number: u64) -> SettleOutcome {
        let mut settled = SettleOutcome { cursor: number, lost: 0 };
        while let Some(&Gap { first, last, received }) = self.reader.gaps.front() {
            if first > settled.cursor + 1 {
                break;
            }
            settled.lost += last - first + 1 - received;
            settled.cursor = settled.cursor.max(last);
            self.reader.gaps.pop_front();
        }
        self.received.drop_up_to(settled.cursor);
        settled
    }
}

impl<F: File> Reader<F> {
    /// Opens the segment that begins with record `first`, and returns its file and the offset of the next
    /// block.
    fn open_segment<S: Storage<File = F>>(
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
    fn gap_to(&mut self, number: u64, received: &ReceivedNumbers) {
        if number > self.next_number {
            let (first, last) = (self.next_number, number - 1);
            self.gaps.push_back(Gap { first, last, received: received.count(&(first..=last)) });
            self.next_number = number;
        }
    }

    /// Moves the reading position forward to `number`, unless it is already past it, and drops the gaps
    /// before `number`.
    fn skip_to(&mut self, number: u64) {
        if number > self.next_number {
            self.next_number = number;
            self.open_segment = None;
        }
        self.gaps.retain(|gap| gap.first >= number);
    }

    /// Removes the records that were read before from a block, and moves the reading position behind the
    /// block.
    fn take_unread(&mut self, mut block: Block) -> Block {
        let read = self.next_number - block.header.first_number;
        block.records.drain(..read as usize);
        block.header.first_number += read;
        block.header.record_count -= read as u32;
        self.next_number = block.header.last_number() + 1;
        block
    }
}
