//! What a stop or a crash has left.
//!
//! Of each class only the last segment can have been written when the end came: it is read through, and is to be cut off
//! behind its last whole block. Segments whose records are all done are to be removed, which a crash may have undone.

use std::{collections::VecDeque, io, ops::Range};

use crate::{Class, File, Storage, lane::Segment, segment, state::State};

/// Segments of a class that are shown: one that was just begun has little in it.
const NEWEST: usize = 2;

/// The end of a segment that may have been written.
#[derive(Debug)]
struct Tail {
    /// The number of the segment's first record.
    first: u64,
    /// Where its last whole block begins and ends.
    block: Range<u64>,
}

impl Tail {
    /// Cuts the segment off behind its last whole block. The block may be in the system's cache alone, after a sync that
    /// failed: it is written again, and is on the disk before anybody is sent it.
    fn tidy<S: Storage>(&self, storage: &S, class: Class) -> io::Result<()> {
        let mut file = storage.open(&segment::name(class, self.first))?;
        let Range { start, end } = self.block;
        let mut block = vec![0; usize::try_from(end - start).unwrap_or_default()];
        file.read_at(start, &mut block)?;
        file.write_at(start, &block)?;
        // Also where it looks cut off already: a sync that failed may have lost that.
        file.truncate(end)?;
        file.sync()
    }
}

/// All classes, as they were left.
#[derive(Debug)]
pub(crate) struct Left {
    /// The next state: what was known, and what was found.
    pub(crate) state: State,
    pub(crate) classes: [LeftClass; Class::ALL.len()],
}

/// A class as it was left.
#[derive(Debug)]
pub(crate) struct LeftClass {
    pub(crate) class: Class,
    /// The last record that is on the disk, or was.
    pub(crate) committed: u64,
    /// Those that stay, as they will be.
    pub(crate) segments: VecDeque<Segment>,
    /// The end of the last one.
    tail: Option<Tail>,
    /// Those that go, by their first numbers.
    finished: Vec<u64>,
    /// Whether something but zeros is cut off.
    torn: bool,
}

impl Left {
    /// Looks at all segments, and changes nothing. A spool that knows nothing of itself is called `name` from now on.
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
                // The state is lost: what went before the oldest segment is taken for delivered.
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

    /// Removes and cuts off what is to go.
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

/// Shows the records of the last segments of each class, also of those that are done: what was committed last before the
/// end is among them.
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

/// The first numbers of a class's segments, ascending.
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
            // A segment begins where all before it are committed.
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

    /// The segment that may have been written.
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

/// Where the last whole block is, and the number of its last record.
fn end_of<F: File>(file: &F, len: u64) -> io::Result<(Range<u64>, Option<u64>)> {
    let (mut range, mut last) = (0..0, None);
    while let Some(block) = segment::next(file, range.end, len)? {
        range = block.end - block.header.block_len()..block.end;
        last = Some(block.header.last());
    }
    Ok((range, last))
}
