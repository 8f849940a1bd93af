//! The log of one class: its segments, the block to be written and the reading position.

use std::{collections::VecDeque, io};

use crate::{
    Class, File, Storage,
    aside::Aside,
    block::Builder,
    received::Received,
    recovery::LeftClass,
    segment::{self, Block},
    state::Counters,
};

/// A segment of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of the first record.
    pub(crate) first: u64,
    /// Size of the file in bytes.
    pub(crate) bytes: u64,
}

/// The last segment of a lane, open for writing.
#[derive(Debug)]
pub(crate) struct Active<F> {
    file: F,
    /// Offset at which the next block is written.
    end: u64,
}

/// The reading position of a lane.
#[derive(Debug)]
struct Reader<F> {
    /// The number of the next record to read.
    next: u64,
    /// The open segment: the number of its first record, its file, and the offset of its next block.
    open: Option<(u64, F, u64)>,
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

/// The result of [`Lane::settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The last record that is done now.
    pub(crate) done: u64,
    /// Number of records that were missing.
    pub(crate) lost: u64,
}

/// The log of one class.
#[derive(Debug)]
pub(crate) struct Lane<F> {
    class: Class,
    epoch: u64,
    segments: VecDeque<Segment>,
    active: Option<Active<F>>,
    /// The last record that is on disk.
    committed: u64,
    /// The records that the next commit writes as one block.
    pending: Builder,
    reader: Reader<F>,
    /// No record after this one has been sent, except for records that are settled.
    sent: u64,
    /// The records after the cursor that the receiver has.
    received: Received,
}

impl<F: File> Lane<F> {
    /// Creates a lane as recovery found it, with the known cursor and counters of its class.
    pub(crate) fn new(left: LeftClass, epoch: u64, known: Counters) -> Self {
        let LeftClass { class, committed, segments, .. } = left;
        Self {
            class,
            epoch,
            segments,
            active: None,
            committed,
            pending: Builder::new(committed + 1, epoch),
            reader: Reader { next: known.done + 1, open: None, gaps: VecDeque::new() },
            sent: known.sent,
            received: Received::default(),
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
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns the size in bytes of the pending block with a further record of `record` bytes.
    pub(crate) fn len_with(&self, record: usize) -> u64 {
        self.pending.len_with(record)
    }

    /// Returns whether the active segment has space for a block of `block` bytes.
    pub(crate) fn fits(&self, block: u64) -> bool {
        let last = self.segments.back().map_or(0, |segment| segment.bytes);
        self.active.as_ref().is_some_and(|active| active.end + block <= last)
    }

    /// Adds a record that fits to the pending block, and returns the number of the record.
    pub(crate) fn push(&mut self, record: &[u8]) -> u64 {
        self.pending.push(record);
        self.pending.last()
    }

    /// Writes the pending block to disk and syncs it.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        let last = self.pending.last();
        let after = Builder::new(last + 1, self.epoch);
        let block = std::mem::replace(&mut self.pending, after).finish();
        active.file.write_at(active.end, &block)?;
        active.file.sync()?;
        active.end += block.len() as u64;
        self.committed = last;
        Ok(())
    }

    /// Truncates the active segment after its last block and closes it. The pending block must have been
    /// committed.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        let Some(mut active) = self.active.take() else { return Ok(()) };
        active.file.truncate(active.end)?;
        active.file.sync()?;
        if let Some(last) = self.segments.back_mut() {
            last.bytes = active.end;
        }
        Ok(())
    }

    /// Makes a file of `bytes` bytes the active segment.
    pub(crate) fn begin(&mut self, file: F, bytes: u64) {
        self.segments.push_back(Segment { first: self.committed + 1, bytes });
        self.active = Some(Active { file, end: 0 });
    }

    /// Returns the number of the last record of the segment at the index `place`.
    pub(crate) fn last_of(&self, place: usize) -> u64 {
        self.segments.get(place + 1).map_or(self.committed, |after| after.first - 1)
    }

    /// Returns the oldest segment and the number of its last record, unless some of its records are in flight
    /// or not committed.
    pub(crate) fn victim(&self, done: u64) -> Option<(Segment, u64)> {
        let oldest = *self.segments.front()?;
        let is_read = self.reader.next > oldest.first.max(done + 1);
        let is_written = self.segments.len() == 1 && self.is_waiting();
        (!is_read && !is_written).then(|| (oldest, self.last_of(0)))
    }

    /// Removes the oldest segment from the lane and returns it. The file stays.
    pub(crate) fn forget_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        if self.segments.is_empty() {
            self.active = None;
        }
        let next = self.segments.front().map_or(self.committed + 1, |segment| segment.first);
        self.reader.skip_to(next);
        Some(oldest)
    }

    /// Returns the oldest segment if it is sealed and all its records are done.
    pub(crate) fn finished(&self, done: u64) -> Option<Segment> {
        let sealed = self.segments.len() > 1 || self.active.is_none();
        self.segments.front().copied().filter(|_| sealed && self.last_of(0) <= done)
    }

    /// Returns the next records as one block, without the leading records that were read before or that the
    /// receiver has; `None` when all committed records have been read. Damage on the way is set aside; `room`
    /// limits the bytes of all damage together.
    pub(crate) fn read<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        aside: &mut Aside,
        room: u64,
    ) -> io::Result<Option<Block>> {
        while self.reader.next <= self.committed {
            let next = self.reader.next;
            let place = self.segments.partition_point(|segment| segment.first <= next);
            let Some(place) = place.checked_sub(1) else {
                // Records before the oldest segment are gone.
                let first = self.segments.front().map_or(self.committed + 1, |segment| segment.first);
                self.reader.gap_to(first, &self.received);
                continue;
            };
            let first = self.segments[place].first;
            let limit = self.limit(place);
            let last = self.last_of(place);
            let (file, at) = self.reader.open(storage, self.class, first)?;
            let found = segment::next(file, *at, limit)?;
            let damage = *at..found.as_ref().map_or(limit, |block| block.end - block.header.block_len());
            if damage.start < damage.end {
                aside.keep(storage, (self.class, first), file, damage, room);
            }
            match found {
                Some(block) => {
                    *at = block.end;
                    if block.header.last() > last || block.header.last() < next {
                        continue;
                    }
                    self.reader.gap_to(block.header.first, &self.received);
                    let received = self.received.run_from(self.reader.next).min(block.header.last());
                    self.reader.gap_to(received + 1, &self.received);
                    if received < block.header.last() {
                        return Ok(Some(self.reader.take(block)));
                    }
                }
                None => self.reader.gap_to(last + 1, &self.received),
            }
        }
        Ok(None)
    }

    /// Returns the offset at which the blocks of a segment end.
    fn limit(&self, place: usize) -> u64 {
        match &self.active {
            Some(active) if place + 1 == self.segments.len() => active.end,
            _ => self.segments[place].bytes,
        }
    }

    /// Moves the reading position back to the first record that is not done.
    pub(crate) fn rewind(&mut self, done: u64) {
        self.reader = Reader { next: done + 1, open: None, gaps: VecDeque::new() };
    }

    /// Marks the records up to `number` as possibly sent.
    pub(crate) fn sending(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    /// Stores which records after `done` the receiver has. No other records may be in flight.
    pub(crate) fn resolve(&mut self, mut received: Received, done: u64) {
        received.forget_to(done);
        self.sent = received.last().max(done);
        self.received = received;
    }

    /// Returns the last record of the unbroken run after `done` that the receiver has; `done` if it does not
    /// have the next record.
    pub(crate) fn received_after(&self, done: u64) -> u64 {
        self.received.run_from(done + 1)
    }

    /// Returns the last record that may have been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of the last record that was read.
    pub(crate) fn read_up_to(&self) -> u64 {
        self.reader.next - 1
    }

    /// Marks records up to `number` as done, together with the gaps that directly follow them.
    pub(crate) fn settle(&mut self, number: u64) -> Settled {
        let mut settled = Settled { done: number, lost: 0 };
        while let Some(&Gap { first, last, received }) = self.reader.gaps.front() {
            if first > settled.done + 1 {
                break;
            }
            settled.lost += last - first + 1 - received;
            settled.done = settled.done.max(last);
            self.reader.gaps.pop_front();
        }
        self.received.forget_to(settled.done);
        settled
    }
}

impl<F: File> Reader<F> {
    /// Opens the segment that begins with record `first`, and returns its file and the offset of the next
    /// block.
    fn open<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        class: Class,
        first: u64,
    ) -> io::Result<(&F, &mut u64)> {
        let open = match self.open.take() {
            Some(open) if open.0 == first => open,
            _ => (first, storage.open(&segment::name(class, first))?, 0),
        };
        let (_, file, at) = self.open.insert(open);
        Ok((file, at))
    }

    /// Adds a gap that ends before `number`: these records are missing, or the receiver has them.
    fn gap_to(&mut self, number: u64, received: &Received) {
        if number > self.next {
            let (first, last) = (self.next, number - 1);
            self.gaps.push_back(Gap { first, last, received: received.count(&(first..=last)) });
            self.next = number;
        }
    }

    /// Moves the reading position forward to `number`, unless it is already past it, and drops the gaps
    /// before `number`.
    fn skip_to(&mut self, number: u64) {
        if number > self.next {
            self.next = number;
            self.open = None;
        }
        self.gaps.retain(|gap| gap.first >= number);
    }

    /// Removes the records that were read before from a block, and moves the reading position behind the
    /// block.
    fn take(&mut self, mut block: Block) -> Block {
        let read = self.next - block.header.first;
        block.records.drain(..read as usize);
        block.header.first += read;
        block.header.records -= read as u32;
        self.next = block.header.last() + 1;
        block
    }
}
