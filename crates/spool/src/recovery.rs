//! Recovery of a spool after a stop or a crash.
//!
//! Only the last segment of a class can have been open for writing: it is read from beginning to end and
//! truncated after its last intact block. The other segments are not read. Those whose records were evicted
//! are removed; a crash may have undone their earlier removal. Those whose records are all delivered stay, in
//! case the receiver loses records. [Strays](crate::strays) get another name.

use std::{collections::VecDeque, io, ops::Range};

use lopside_delivery::Class;

use crate::{
    File, NameChange, Options, State, Storage,
    segment::{self, Segment},
    strays::{SegmentFiles, stray_name},
};

/// Number of segments per class whose records are shown. There are two, because a new segment contains few
/// records.
const SHOWN_SEGMENTS: usize = 2;

/// The last segment of a class, which may have been open for writing.
#[derive(Debug)]
struct LastSegment {
    /// The number of the segment's first record.
    first_number: u64,
    /// The byte range of its last intact block.
    last_block: Range<u64>,
}

impl LastSegment {
    /// Truncates the segment after its last intact block. After a failed sync that block may be only in the
    /// system's cache; it is written again, so that it is on disk before it is sent to the receiver.
    fn truncate_segment<S: Storage>(&self, storage: &S, class: Class) -> io::Result<()> {
        let mut file = storage.open(&segment::name(class, self.first_number))?;
        let Range { start, end } = self.last_block;
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
pub(crate) struct Recovery {
    /// The next state: the known state, updated with the findings.
    pub(crate) state: State,
    /// The reason for a new name, if the spool takes one.
    pub(crate) name_change: Option<NameChange>,
    /// The epoch of this opening.
    epoch: u64,
    pub(crate) classes: [RecoveredClass; Class::ALL.len()],
}

/// One class as recovery found it.
#[derive(Debug)]
pub(crate) struct RecoveredClass {
    pub(crate) class: Class,
    /// The highest record number that is known to be or to have been on disk.
    pub(crate) committed: u64,
    /// The segments that stay, with their future sizes.
    pub(crate) segments: VecDeque<Segment>,
    /// The last of the segments that stay, if it may have been open for writing.
    tail: Option<LastSegment>,
    /// First record numbers of the segments to be removed.
    obsolete: Vec<u64>,
    /// First record numbers of the files that do not belong to the spool.
    strays: Vec<u64>,
    /// Whether bytes other than zeros are cut off.
    is_torn: bool,
}

/// The source of the known state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateOrigin {
    /// There is no state.
    Lost,
    /// The state is in an earlier format, and may not know all records before a segment.
    EarlierFormat,
    /// The state knows for each segment that the records before it were committed.
    Current,
}

impl StateOrigin {
    fn of(known_state: Option<&State>) -> Self {
        match known_state {
            None => Self::Lost,
            Some(state) if state.is_earlier_format => Self::EarlierFormat,
            Some(_) => Self::Current,
        }
    }
}

impl Recovery {
    /// Inspects all segments without changing them. A spool without a state gets a new name, and so does the
    /// spool of another machine or of a device with another name.
    pub(crate) fn inspect_all<S: Storage>(
        storage: &S,
        names: &[String],
        stored_state: Option<&State>,
        options: &Options,
    ) -> io::Result<Self> {
        let spool_name = options.new_name();
        let known_state = State::newest(stored_state, options.last_state.as_ref());
        let origin = StateOrigin::of(known_state.as_ref());
        let mut state = known_state.unwrap_or(State { spool_name, ..State::default() });
        state.generation += 1;
        state.is_earlier_format = false;
        let name_change = state.bind_to(options.machine, options.device, spool_name);
        let [low, normal, high] = Class::ALL;
        let classes = [
            RecoveredClass::inspect_and_count(storage, names, low, origin, &mut state)?,
            RecoveredClass::inspect_and_count(storage, names, normal, origin, &mut state)?,
            RecoveredClass::inspect_and_count(storage, names, high, origin, &mut state)?,
        ];
        Ok(Self { state, name_change, epoch: options.epoch, classes })
    }

    /// Returns the number of files that do not belong to the spool.
    pub(crate) fn stray_count(&self) -> usize {
        self.classes.iter().map(|recovered| recovered.strays.len()).sum()
    }

    /// Returns those names that are not the names of strays.
    pub(crate) fn without_strays(&self, names: &[String]) -> Vec<String> {
        let strays = self.classes.iter().flat_map(|recovered| {
            recovered.strays.iter().map(|&first| segment::name(recovered.class, first))
        });
        let strays: Vec<String> = strays.collect();
        names.iter().filter(|name| !strays.contains(name)).cloned().collect()
    }

    /// Removes the segments that were evicted, truncates the last segment of each class, and gives strays another name.
    pub(crate) fn clean_up<S: Storage>(&self, storage: &S) -> io::Result<()> {
        for recovered in &self.classes {
            for &first in &recovered.strays {
                let kept_as = stray_name(self.epoch, recovered.class, first);
                storage.rename(&segment::name(recovered.class, first), &kept_as)?;
            }
            for &first in &recovered.obsolete {
                storage.remove(&segment::name(recovered.class, first))?;
            }
            if let Some(tail) = &recovered.tail {
                tail.truncate_segment(storage, recovered.class)?;
            }
        }
        Ok(())
    }
}

/// Passes the records of the last segments of each class to `visit`, including those that are done. The
/// records that were committed last before the stop are among them.
pub(crate) fn show_newest<S: Storage>(
    storage: &S,
    names: &[String],
    visit: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    for class in Class::ALL {
        let mut firsts = first_numbers(names, class);
        for first in firsts.split_off(firsts.len().saturating_sub(SHOWN_SEGMENTS)) {
            let file = storage.open(&segment::name(class, first))?;
            let (mut offset, len) = (0, file.size()?);
            while let Some(block) = segment::next_block(&file, offset, len)? {
                block.records.iter().for_each(|record| visit(record));
                offset = block.next_offset;
            }
        }
    }
    Ok(())
}

/// Returns the first record numbers of a class's segments, in ascending order.
fn first_numbers(names: &[String], class: Class) -> Vec<u64> {
    let segments = names.iter().filter_map(|name| segment::parse(name)).filter(|(other, _)| *other == class);
    let mut firsts: Vec<u64> = segments.map(|(_, first)| first).collect();
    firsts.sort_unstable();
    firsts
}

impl RecoveredClass {
    /// Inspects a class and updates the state with the findings.
    fn inspect_and_count<S: Storage>(
        storage: &S,
        names: &[String],
        class: Class,
        origin: StateOrigin,
        state: &mut State,
    ) -> io::Result<Self> {
        let counters = &mut state.classes[class.index()];
        // Records up to the last one that was done were on disk, also if they are pending again.
        let committed = state.committed[class.index()].max(counters.cursor).max(counters.past.reopened_to);
        let known = (origin == StateOrigin::Current).then_some(committed);
        let files = SegmentFiles::sort_out(storage, class, &first_numbers(names, class), known)?;
        if origin == StateOrigin::Lost
            && let Some(&first) = files.own.first()
        {
            // All records before the oldest segment count as delivered.
            counters.cursor = first - 1;
            counters.delivered = counters.cursor;
        }
        let evicted_to = counters.past.evicted_to;
        let recovered = Self::inspect_class(storage, class, files, evicted_to, committed)?;
        // The state must know all records before a segment.
        let before_last = recovered.segments.back().map_or(0, |segment| segment.first_number - 1);
        state.committed[class.index()] = committed.max(before_last);
        // Only records that were on disk were sent. Without this limit, records that this process stores and
        // evicts would count as sent.
        counters.highest_sent = counters.highest_sent.min(recovered.committed);
        state.torn_ends += u64::from(recovered.is_torn);
        Ok(recovered)
    }

    /// Inspects a class of which the last record that was evicted and the last committed record are known. If the last
    /// records are missing, their numbers are not used again, so that they count as damaged.
    fn inspect_class<S: Storage>(
        storage: &S,
        class: Class,
        files: SegmentFiles,
        evicted_to: u64,
        committed: u64,
    ) -> io::Result<Self> {
        let SegmentFiles { own: firsts, strays } = files;
        let (segments, obsolete) = (VecDeque::new(), Vec::new());
        let mut recovered = Self { class, committed, segments, tail: None, obsolete, strays, is_torn: false };
        for (index, &first) in firsts.iter().enumerate() {
            // A segment begins only after all records before it are committed.
            recovered.committed = recovered.committed.max(first - 1);
            match firsts.get(index + 1) {
                Some(next_first) if next_first - 1 <= evicted_to => recovered.obsolete.push(first),
                Some(_) => {
                    let bytes = storage.open(&segment::name(class, first))?.size()?;
                    recovered.segments.push_back(Segment { first_number: first, bytes });
                }
                None => recovered.inspect_last(storage, first, evicted_to)?,
            }
        }
        Ok(recovered)
    }

    /// Inspects the last segment, which may have been open for writing.
    fn inspect_last<S: Storage>(&mut self, storage: &S, first: u64, evicted_to: u64) -> io::Result<()> {
        let file = storage.open(&segment::name(self.class, first))?;
        let len = file.size()?;
        let (block, last) = find_end(&file, len)?;
        self.is_torn = segment::has_bytes(&file, block.end, len)?;
        match last {
            Some(last) if last > evicted_to => {
                self.segments.push_back(Segment { first_number: first, bytes: block.end });
                self.tail = Some(LastSegment { first_number: first, last_block: block });
                self.committed = self.committed.max(last);
            }
            _ => self.obsolete.push(first),
        }
        Ok(())
    }
}

/// Returns the byte range of the last intact block and the number of its last record; an empty range and
/// `None` if the segment does not contain any.
fn find_end<F: File>(file: &F, len: u64) -> io::Result<(Range<u64>, Option<u64>)> {
    let (mut range, mut last) = (0..0, None);
    while let Some(block) = segment::next_block(file, range.end, len)? {
        range = block.next_offset - block.header.block_len()..block.next_offset;
        last = Some(block.header.last_number());
    }
    Ok((range, last))
}
