//! The log of one class: its segments, the block to be written and the reading position.

use std::{collections::VecDeque, io};

use lopside_delivery::Class;

use crate::{
    Counters, File, Storage,
    block::BlockBuilder,
    damage::DamageFiles,
    lock::LockedFolder,
    number_ranges::NumberRanges,
    reader::Reader,
    recovery::RecoveredClass,
    segment::{self, Block, Segment},
    write_times::WriteTimes,
};

/// The last segment of a log, open for writing.
#[derive(Debug)]
pub(crate) struct ActiveSegment<F> {
    file: F,
    /// The number of the first record, which the file's name contains.
    first_number: u64,
    /// Offset at which the next block is written.
    next_offset: u64,
    /// The first known time of a commit to this segment, in Unix seconds.
    opened_s: Option<u32>,
}

/// The result of [`ClassLog::settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettleOutcome {
    /// The last record that is done now.
    pub(crate) cursor: u64,
    /// The records that were missing.
    pub(crate) missing: NumberRanges,
    /// The highest record up to the cursor that the receiver has reported; 0 if there is none.
    pub(crate) reported: u64,
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
    /// The write times of the oldest segment, as far as they were read.
    oldest_times: Option<WriteTimes>,
    /// The records that the next commit writes as one block.
    pending: BlockBuilder,
    reader: Reader<F>,
    /// No record after this one has been sent, except for records that are settled.
    highest_sent: u64,
    /// The records after the cursor that the receiver has reported.
    reported: NumberRanges,
    /// The records after the cursor that are not read: those that the receiver has reported, and those that were
    /// done before the cursor was moved back and are not lost.
    received: NumberRanges,
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
            oldest_times: None,
            pending: BlockBuilder::new(committed + 1, epoch),
            reader: Reader::from_number(counters.cursor + 1),
            highest_sent: counters.highest_sent,
            reported: NumberRanges::default(),
            received: NumberRanges::default(),
        }
    }

    /// Returns the size of all files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Returns the size in bytes of the segments that are kept although all their records are done.
    pub(crate) fn kept_bytes(&self, cursor: u64) -> u64 {
        let sealed_count = self.segments.len() - usize::from(self.active.is_some());
        let kept = (0..sealed_count).take_while(|&index| self.last_number_of(index) <= cursor);
        kept.map(|index| self.segments[index].bytes).sum()
    }

    /// Returns the number of the first record that may be in a segment.
    pub(crate) fn first_stored(&self) -> u64 {
        self.segments.front().map_or(self.committed + 1, |segment| segment.first_number)
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

    /// Writes the pending block to disk, syncs it, and checks that its file is still in the folder. `now_s` is the time
    /// in Unix seconds; `None` if it is unknown.
    pub(crate) fn commit<S: Storage<File = F>>(
        &mut self,
        folder: &LockedFolder<S>,
        now_s: Option<u32>,
    ) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        let last = self.pending.last_number();
        let next = BlockBuilder::new(last + 1, self.epoch);
        let block = std::mem::replace(&mut self.pending, next).finish(now_s.unwrap_or(0));
        active.file.write_at(active.next_offset, &block)?;
        active.file.sync()?;
        folder.check_file(&segment::name(self.class, active.first_number), &active.file)?;
        active.opened_s = active.opened_s.or(now_s);
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
        self.active = Some(ActiveSegment { file, first_number, next_offset: 0, opened_s: None });
    }

    /// Returns the number of the last record of the segment at `index`.
    pub(crate) fn last_number_of(&self, index: usize) -> u64 {
        self.segments.get(index + 1).map_or(self.committed, |next| next.first_number - 1)
    }

    /// Returns the oldest segment and the number of its last record, unless some of its records are not committed.
    pub(crate) fn oldest_segment(&self) -> Option<(Segment, u64)> {
        let oldest = *self.segments.front()?;
        let is_written = self.segments.len() == 1 && self.has_pending();
        (!is_written).then(|| (oldest, self.last_number_of(0)))
    }

    /// Returns the oldest segment and the number of its last record, unless some of its records are in flight
    /// or not committed.
    pub(crate) fn evictable_segment(&self, cursor: u64) -> Option<(Segment, u64)> {
        let is_read = |oldest: &Segment| self.reader.next_number > oldest.first_number.max(cursor + 1);
        self.oldest_segment().filter(|(oldest, _)| !is_read(oldest))
    }

    /// Returns whether a commit to the active segment was before this time, in Unix seconds.
    pub(crate) fn is_opened_before(&self, time_s: u32) -> bool {
        let opened_s = self.active.as_ref().and_then(|active| active.opened_s);
        opened_s.is_some_and(|opened_s| opened_s < time_s)
    }

    /// Returns whether all records of the oldest segment were written before this time, in Unix seconds.
    pub(crate) fn is_oldest_before<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        time_s: u32,
    ) -> io::Result<bool> {
        let Some(&Segment { first_number, .. }) = self.segments.front() else { return Ok(false) };
        let end = self.blocks_end(0);
        let known = self.oldest_times.take().filter(|times| times.describes(first_number, end));
        let mut times = match known {
            Some(times) => times,
            None => WriteTimes::read_first(storage, self.class, first_number, end)?,
        };
        let next = self.segments.get(1).map(|next| (next.first_number, self.blocks_end(1)));
        let is_before = times.are_before(storage, self.class, next, time_s)?;
        self.oldest_times = Some(times);
        Ok(is_before)
    }

    /// Removes the oldest segment from the log and returns it. The file stays.
    pub(crate) fn remove_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        if self.segments.is_empty() {
            self.active = None;
        }
        let next = self.first_stored();
        self.reader.skip_to(next);
        Some(oldest)
    }

    /// Returns the oldest segment and the number of its last record if it is sealed and all its records are done.
    pub(crate) fn finished_segment(&self, cursor: u64) -> Option<(Segment, u64)> {
        let is_sealed = self.segments.len() > 1 || self.active.is_none();
        let (oldest, last) = (*self.segments.front()?, self.last_number_of(0));
        (is_sealed && last <= cursor).then_some((oldest, last))
    }

    /// Returns the next records as one block, without those that were read before and from the first one on that
    /// the receiver has; `None` when all committed records have been read. Damage on the way is set aside;
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
                let first = self.first_stored();
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
                        let next_received = self.received.first_from(self.reader.next_number);
                        let last = next_received.map_or(u64::MAX, |number| number - 1);
                        return Ok(Some(self.reader.take_unread(block, last)));
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
        self.reader = Reader::from_number(cursor + 1);
    }

    /// Returns the first of the given records that is in a segment and was not written in this epoch, or `None`.
    /// Only headers are read.
    pub(crate) fn find_other_epoch<S: Storage<File = F>>(
        &self,
        storage: &S,
        epoch: u64,
        numbers: &NumberRanges,
    ) -> io::Result<Option<u64>> {
        for (index, segment) in self.segments.iter().enumerate() {
            let last = self.last_number_of(index);
            if numbers.within(&(segment.first_number..=last)).is_empty() {
                continue;
            }
            let file = storage.open(&segment::name(self.class, segment.first_number))?;
            let (mut offset, limit) = (0, self.blocks_end(index));
            while let Some((start, header)) = segment::find_header(&file, offset, limit)? {
                offset = start + header.block_len();
                let found = numbers.within(&(header.first_number..=header.last_number().min(last)));
                if header.epoch != epoch && !found.is_empty() {
                    return Ok(found.first());
                }
            }
        }
        Ok(None)
    }

    /// Marks the records up to `number` as possibly sent.
    pub(crate) fn mark_sending(&mut self, number: u64) {
        self.highest_sent = self.highest_sent.max(number);
    }

    /// Stores which records after `cursor` the receiver has. No other records may be in flight.
    pub(crate) fn set_received(&mut self, mut received: NumberRanges, cursor: u64) {
        received.drop_up_to(cursor);
        self.highest_sent = received.last().max(cursor);
        self.reported = received.clone();
        self.received = received;
    }

    /// Moves the reading position back to the first record after `cursor`, which was moved back. Of the records
    /// that are not done any more, those in `not_lost` are not read.
    pub(crate) fn reopen(&mut self, cursor: u64, not_lost: &NumberRanges) {
        self.rewind(cursor);
        self.received.add(not_lost);
    }

    /// Returns the records after the cursor that are not read because the receiver has them.
    pub(crate) fn received(&self) -> &NumberRanges {
        &self.received
    }

    /// Returns the highest record that the receiver has reported, up to `number`; 0 if there is none.
    pub(crate) fn reported_up_to(&self, number: u64) -> u64 {
        self.reported.last_up_to(number)
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
        let (mut cursor, mut missing) = (number, NumberRanges::default());
        while let Some(gap) = self.reader.gaps.pop_front_if(|gap| gap.first <= cursor + 1) {
            missing.add(&gap.missing);
            cursor = cursor.max(gap.last);
        }
        let reported = self.reported_up_to(cursor);
        self.reported.drop_up_to(cursor);
        self.received.drop_up_to(cursor);
        SettleOutcome { cursor, missing, reported }
    }
}
