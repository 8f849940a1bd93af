//! Files with the name of a segment that do not belong to the spool: a copy from another spool, or a file that was
//! created by mistake. They could make the spool believe that millions of records are missing, or hide those of a
//! segment before them.
//!
//! Recovery gives them names that begin with `stray-`, and does not read them. It never removes them, and they do not
//! count towards the budget. A file belongs to the spool if
//!
//! - its first block has the number in its name, or a higher one if the file is damaged. A file without any block
//!   belongs if it continues the segment before it: a crash leaves such a file, and so does a disk that has flipped bits;
//! - it begins after a record that the state knows to have been committed, or directly after the previous segment. The
//!   state is written before a segment begins, so it knows them all; only an earlier format did not;
//! - the last file, or one without any block, does not begin before the end of the segment before it.

use std::io;

use lopside_delivery::Class;

use crate::{File, Storage, segment};

/// The beginning of a stray file's name.
const NAME_PREFIX: &str = "stray-";

/// The segment files of a class.
#[derive(Debug, Default)]
pub(crate) struct SegmentFiles {
    /// The numbers of the first records of the segments, in ascending order.
    pub(crate) own: Vec<u64>,
    /// Those of the files that do not belong to the spool.
    pub(crate) strays: Vec<u64>,
}

/// A file that may be a segment of the spool.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The number of the first record.
    first: u64,
    /// Whether the state permits a segment that begins with this record.
    is_known: bool,
    /// Whether it may overlap with the segment before it.
    may_overlap: bool,
}

/// Returns whether a file in the folder of a spool was found there as a stray.
#[must_use]
pub fn is_stray_name(name: &str) -> bool {
    name.starts_with(NAME_PREFIX)
}

/// Returns the name under which a stray file is kept. `epoch` makes it unique.
pub(crate) fn stray_name(epoch: u64, class: Class, first: u64) -> String {
    format!("{NAME_PREFIX}{epoch:016x}-{}", segment::name(class, first))
}

impl SegmentFiles {
    /// Tells the segments of the spool from the strays. `firsts` are the numbers in the names of the files in ascending
    /// order, and `committed` is the highest record of which the state on disk knows that it was committed; `None` if
    /// the state does not know where segments begin.
    pub(crate) fn sort_out<S: Storage>(
        storage: &S,
        class: Class,
        firsts: &[u64],
        committed: Option<u64>,
    ) -> io::Result<Self> {
        let mut files = Self::default();
        for (index, &first) in firsts.iter().enumerate() {
            let is_last = index + 1 == firsts.len();
            let file = storage.open(&segment::name(class, first))?;
            let header = segment::find_header(&file, 0, file.size()?)?.map(|(_, header)| header);
            let is_own = match header {
                Some(header) if header.first_number < first => false,
                header => {
                    let is_known = committed.map_or(header.is_some(), |committed| first - 1 <= committed);
                    let may_overlap = is_last || header.is_none();
                    files.can_add(storage, class, Candidate { first, is_known, may_overlap })?
                }
            };
            if is_own { files.own.push(first) } else { files.strays.push(first) }
        }
        Ok(files)
    }

    /// Returns whether a file may be a segment after the segments found so far.
    fn can_add<S: Storage>(&self, storage: &S, class: Class, candidate: Candidate) -> io::Result<bool> {
        let Candidate { first, is_known, may_overlap } = candidate;
        let Some(&previous) = self.own.last().filter(|_| may_overlap || !is_known) else {
            return Ok(is_known);
        };
        let last_number = find_last_number(storage, class, previous)?;
        Ok(last_number + 1 == first || is_known && last_number < first)
    }
}

/// Reads the headers of the segment that begins with record `first`, and returns the number of its last record; the
/// number before `first` if no header is intact.
fn find_last_number<S: Storage>(storage: &S, class: Class, first: u64) -> io::Result<u64> {
    let file = storage.open(&segment::name(class, first))?;
    let (mut offset, mut last_number, len) = (0, first - 1, file.size()?);
    while let Some((start, header)) = segment::find_header(&file, offset, len)? {
        let end = start.saturating_add(header.block_len());
        if end > len {
            break;
        }
        (offset, last_number) = (end, header.last_number());
    }
    Ok(last_number)
}
