//! Recovery of a spool after a stop or a crash.
//!
//! Only the last segment of a class can have been open for writing: it is read from beginning to end and
//! truncated after its last intact block. Segments whose records are all done are removed; a crash may have
//! undone their earlier removal.

use std::{collections::VecDeque, io, ops::Range};

use crate::{Class, File, Storage, lane::Segment, segment, state::State};

/// Number of segments per class whose records are shown. There are two, because a new segment contains few
/// records.
const NEWEST: usize = 2;

/// The last segment of a class, which may have been open for writing.
#[derive(Debug)]
struct Tail {
    /// The number of the segment's first record.
    first: u64,
    /// The byte range of its last intact block.
    block: Range<u64>,
}

impl Tail {
    /// Truncates the segment after its last intact block. After a failed sync that block may be only in the
    /// system's cache; it is written again, so that it is on disk before it is sent to the receiver.
    fn tidy<S: Storage>(&self, storage: &S, class: Class) -> io::Result<()> {
        let mut file = storage.open(&segment::name(class, self.first))?;
        let Range { start, end } = self.block;
        let mut block = vec![0; usize::try_from(end - start).unwrap_or_default()];
        file.read_at(start, &mut block)?;
        file.write_at(start, &block)?;
        // Truncate even if the length already fits: a failed sync may have lost an earlier truncation.
        file.truncate(end)?;
        file.sync()
    }
}

/// All classes as recovery found them.
#[derive(Debug)]
pub(crate) struct Left {
    /// The next state: the known state, updated with the findings.
    pub(crate) state: State,
    pub(crate) classes: [LeftClass; Class::ALL.len()],
}

/// One class as recovery found it.
#[derive(Debug)]
pub(crate) struct LeftClass {
    pub(crate) class: Class,
    /// The highest record number that is or was on disk.
    pub(crate) committed: u64,
    /// The segments that stay, with their future sizes.
    pub(crate) segments: VecDeque<Segment>,
    /// The last of the segments that stay, if it may have been open for writing.
    tail: Option<Tail>,
    /// First record numbers of the segments to be removed.
    finished: Vec<u64>,
    /// Whether bytes other than zeros are cut off.
    torn: bool,
}

impl Left {
    /// Inspects all segments without changing them. A spool without a state gets the name `name`.
    pub(crate) fn of<S: Storage>(
        storage: &S,
        names: &[String],
        known: Option<State>,
        name: u32,
    ) -> io::Result<Self> {
        let mut state = known.unwrap_or(State { name, ..State::default() });
        state.generation += 1;
        let mut look = |class: Class| -> io::Result<LeftClass> {
            let firsts = firsts(names, class);
            let counters = &mut state.classes[class.index()];
            if known.is_none()
                && let Some(&first) = firsts.first()
            {
                // The state is lost. All records before the oldest segment count as delivered.
                counters.done = first.saturating_sub(1);
                counters.delivered = counters.done;
            }
            let left = LeftClass::of(storage, class, &firsts, counters.done)?;
            state.torn += u64::from(left.torn);
            Ok(left)
        };
        let [low, normal, high] = Class::ALL;
        let classes = [look(low)?, look(normal)?, look(high)?];
        Ok(Self { state, classes })
    }

    /// Removes the segments that are done and truncates the last segment of each class.
    pub(crate) fn tidy<S: Storage>(&self, storage: &S) -> io::Result<()> {
        for left in &self.classes {
            for &first in &left.finished {
                storage.remove(&segment::name(left.class, first))?;
            }
            if let Some(tail) = &left.tail {
                tail.tidy(storage, left.class)?;
            }
        }
        Ok(())
    }
}

/// Passes the records of the last segments of each class to `show`, including those that are done. The
/// records that were committed last before the stop are among them.
pub(crate) fn show_newest<S: Storage>(
    storage: &S,
    names: &[String],
    show: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    for class in Class::ALL {
        let mut firsts = firsts(names, class);
        for first in firsts.split_off(firsts.len().saturating_sub(NEWEST)) {
            let file = storage.open(&segment::name(class, first))?;
            let (mut at, len) = (0, file.size()?);
            while let Some(block) = segment::next(&file, at, len)? {
                block.records.iter().for_each(|record| show(record));
                at = block.end;
            }
        }
    }
    Ok(())
}

/// Returns the first record numbers of a class's segments, in ascending order.
fn firsts(names: &[String], class: Class) -> Vec<u64> {
    let named = names.iter().filter_map(|name| segment::parse(name)).filter(|(of, _)| *of == class);
    let mut firsts: Vec<u64> = named.map(|(_, first)| first).collect();
    firsts.sort_unstable();
    firsts
}

impl LeftClass {
    fn of<S: Storage>(storage: &S, class: Class, firsts: &[u64], done: u64) -> io::Result<Self> {
        let (segments, finished) = (VecDeque::new(), Vec::new());
        let mut left = Self { class, committed: done, segments, tail: None, finished, torn: false };
        for (place, &first) in firsts.iter().enumerate() {
            // A segment begins only after all records before it are committed.
            left.committed = left.committed.max(first.saturating_sub(1));
            match firsts.get(place + 1) {
                Some(after) if after - 1 <= done => left.finished.push(first),
                Some(_) => {
                    let bytes = storage.open(&segment::name(class, first))?.size()?;
                    left.segments.push_back(Segment { first, bytes });
                }
                None => left.last(storage, first, done)?,
            }
        }
        Ok(left)
    }

    /// Inspects the last segment, which may have been open for writing.
    fn last<S: Storage>(&mut self, storage: &S, first: u64, done: u64) -> io::Result<()> {
        let file = storage.open(&segment::name(self.class, first))?;
        let len = file.size()?;
        let (block, last) = end_of(&file, len)?;
        self.torn = segment::has_bytes(&file, block.end, len)?;
        match last {
            Some(last) if last > done => {
                self.segments.push_back(Segment { first, bytes: block.end });
                self.tail = Some(Tail { first, block });
                self.committed = self.committed.max(last);
            }
            _ => self.finished.push(first),
        }
        Ok(())
    }
}

/// Returns the byte range of the last intact block and the number of its last record; an empty range and
/// `None` if the segment does not contain any.
fn end_of<F: File>(file: &F, len: u64) -> io::Result<(Range<u64>, Option<u64>)> {
    let (mut range, mut last) = (0..0, None);
    while let Some(block) = segment::next(file, range.end, len)? {
        range = block.end - block.header.block_len()..block.end;
        last = Some(block.header.last());
    }
    Ok((range, last))
}
