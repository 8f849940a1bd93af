//! One class: its segments, what is being written and what is being read.

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

/// A segment of a class, oldest first in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of its first record.
    pub(crate) first: u64,
    /// Bytes of its file.
    pub(crate) bytes: u64,
}

/// The last segment, open to be written.
#[derive(Debug)]
pub(crate) struct Active<F> {
    file: F,
    /// Where the next block goes.
    end: u64,
}

/// Where reading is.
#[derive(Debug)]
struct Reader<F> {
    /// The number of the next record to be read.
    next: u64,
    /// The segment that is open, by its first number, and where its next block begins.
    open: Option<(u64, F, u64)>,
    /// Records that are not read, after those that are done.
    gaps: VecDeque<Gap>,
}

/// Records that are not read.
#[derive(Debug, Clone, Copy)]
struct Gap {
    first: u64,
    last: u64,
    /// Of them, those that the receiver has. The others are not there.
    received: u64,
}

/// What became of records that are done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The last of them.
    pub(crate) done: u64,
    /// Those that were not there.
    pub(crate) lost: u64,
}

/// A class's log.
#[derive(Debug)]
pub(crate) struct Lane<F> {
    class: Class,
    epoch: u64,
    segments: VecDeque<Segment>,
    active: Option<Active<F>>,
    /// The last record that is on the disk.
    committed: u64,
    /// Records to be committed together.
    pending: Builder,
    reader: Reader<F>,
    /// No record after this one has been sent, or what was sent of them is settled.
    sent: u64,
    /// What the receiver has after those that are done.
    received: Received,
}

impl<F: File> Lane<F> {
    /// A lane as it was left, of whose records this is known.
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

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The last record that is on the disk.
    pub(crate) fn committed(&self) -> u64 {
        self.committed
    }

    /// Whether there are records to be committed.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The block to be committed, in bytes, with a further record.
    pub(crate) fn len_with(&self, record: usize) -> u64 {
        self.pending.len_with(record)
    }

    /// Whether the segment that is being written has room for a block of so many bytes.
    pub(crate) fn fits(&self, block: u64) -> bool {
        let last = self.segments.back().map_or(0, |segment| segment.bytes);
        self.active.as_ref().is_some_and(|active| active.end + block <= last)
    }

    /// Takes a record that fits; its number.
    pub(crate) fn push(&mut self, record: &[u8]) -> u64 {
        self.pending.push(record);
        self.pending.last()
    }

    /// Brings the waiting records to the disk.
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

    /// Ends the segment that is being written, whose records are committed.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        let Some(mut active) = self.active.take() else { return Ok(()) };
        active.file.truncate(active.end)?;
        active.file.sync()?;
        if let Some(last) = self.segments.back_mut() {
            last.bytes = active.end;
        }
        Ok(())
    }

    /// A file of so many bytes becomes the segment that is written.
    pub(crate) fn begin(&mut self, file: F, bytes: u64) {
        self.segments.push_back(Segment { first: self.committed + 1, bytes });
        self.active = Some(Active { file, end: 0 });
    }

    /// The number of the last record of a segment, by its place.
    pub(crate) fn last_of(&self, place: usize) -> u64 {
        self.segments.get(place + 1).map_or(self.committed, |after| after.first - 1)
    }

    /// The oldest segment, and the number of its last record, unless records of it are under way.
    pub(crate) fn victim(&self, done: u64) -> Option<(Segment, u64)> {
        let oldest = *self.segments.front()?;
        let is_read = self.reader.next > oldest.first.max(done + 1);
        let is_written = self.segments.len() == 1 && self.is_waiting();
        (!is_read && !is_written).then(|| (oldest, self.last_of(0)))
    }

    /// Takes the oldest segment off.
    pub(crate) fn forget_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        if self.segments.is_empty() {
            self.active = None;
        }
        let next = self.segments.front().map_or(self.committed + 1, |segment| segment.first);
        self.reader.skip_to(next);
        Some(oldest)
    }

    /// The oldest segment, when it is not written any more and all its records are done.
    pub(crate) fn finished(&self, done: u64) -> Option<Segment> {
        let sealed = self.segments.len() > 1 || self.active.is_none();
        self.segments.front().copied().filter(|_| sealed && self.last_of(0) <= done)
    }

    /// The next records, with their first number and epoch; none when all that are committed have been read. Damage on the
    /// way is set aside, which may have so many bytes in all.
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
                // What is before the oldest segment is gone.
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

    /// Where the blocks of a segment end.
    fn limit(&self, place: usize) -> u64 {
        match &self.active {
            Some(active) if place + 1 == self.segments.len() => active.end,
            _ => self.segments[place].bytes,
        }
    }

    /// Reads again from the first record that is not done.
    pub(crate) fn rewind(&mut self, done: u64) {
        self.reader = Reader { next: done + 1, open: None, gaps: VecDeque::new() };
    }

    /// Records up to this one may have been sent.
    pub(crate) fn sending(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    /// The receiver has these of the records after those that are done, and no others are under way to it.
    pub(crate) fn resolve(&mut self, mut received: Received, done: u64) {
        received.forget_to(done);
        self.sent = received.last().max(done);
        self.received = received;
    }

    /// The last record so that the receiver has all from the first that is not done to it.
    pub(crate) fn received_after(&self, done: u64) -> u64 {
        self.received.run_from(done + 1)
    }

    /// No record after this one may have been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of the last record that was read.
    pub(crate) fn read_up_to(&self) -> u64 {
        self.reader.next - 1
    }

    /// Records up to this one are done now. What follows and is not read is done with them.
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
    /// The segment of this first number, and where reading is in it.
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

    /// The records before this one are not there, or with the receiver.
    fn gap_to(&mut self, number: u64, received: &Received) {
        if number > self.next {
            let (first, last) = (self.next, number - 1);
            self.gaps.push_back(Gap { first, last, received: received.count(&(first..=last)) });
            self.next = number;
        }
    }

    /// Reading goes on at this record, when it is not past it.
    fn skip_to(&mut self, number: u64) {
        if number > self.next {
            self.next = number;
            self.open = None;
        }
        self.gaps.retain(|gap| gap.first >= number);
    }

    /// The records of a block that have not been read.
    fn take(&mut self, mut block: Block) -> Block {
        let read = self.next - block.header.first;
        block.records.drain(..read as usize);
        block.header.first += read;
        block.header.records -= read as u32;
        self.next = block.header.last() + 1;
        block
    }
}
