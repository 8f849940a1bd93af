//! The distribution of the budget: new segments, segments that are kept, and evictions.

use std::io;

use lopside_delivery::Class;

use super::Spool;
use crate::{
    DropPolicy, DropReason, SpoolError, Storage,
    options::PAGE_BYTES,
    segment::{self, Segment},
};

/// The purpose for which space is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpaceFor {
    /// The budget, which may be smaller than that of the last opening.
    Budget,
    /// A record of this class.
    Record(Class),
    /// A record of this class that its producer keeps if there is no space.
    KeptRecord(Class),
}

impl<S: Storage> Spool<S> {
    /// Seals the current segment of a class and begins a new one that can hold a block of `block_len` bytes.
    /// Returns `false` if there is not enough space, in the budget or on the disk.
    pub(super) fn rotate_segment(
        &mut self,
        class: Class,
        block_len: u64,
        space_for: SpaceFor,
    ) -> Result<bool, SpoolError> {
        self.close_segment(class)?;
        self.trim_kept()?;
        let len = self.segment_bytes.max(block_len.next_multiple_of(PAGE_BYTES));
        if !self.make_room(space_for, len)? {
            return Ok(false);
        }
        while !self.begin_segment(class, len)? {
            // Other programs have filled the disk.
            if !self.remove_kept()? && !self.evict_for(space_for)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Commits the pending records of a class and seals its current segment, if there is one.
    pub(super) fn close_segment(&mut self, class: Class) -> Result<(), SpoolError> {
        self.commit_class(class)?;
        let sealed = self.logs[class.index()].seal(&self.folder);
        sealed.map_err(|error| self.poison("close a segment", error))
    }

    /// Begins a segment of `len` bytes. Returns `false` if the disk is full.
    fn begin_segment(&mut self, class: Class, len: u64) -> Result<bool, SpoolError> {
        // The space of the removed segments is free only after their removal is durable.
        self.sync_removals()?;
        let committed = self.log_mut(class).committed();
        // Recovery takes a segment for a stray if the state does not know the records before it.
        if self.saved_state.committed[class.index()] < committed {
            self.save_state()?;
        }
        let name = segment::name(class, committed + 1);
        match self.folder.storage().create(&name, len) {
            Ok(file) => {
                let synced = self.folder.storage().sync();
                synced.map_err(|error| self.poison("make a new segment durable", error))?;
                self.log_mut(class).begin(file, len);
                Ok(true)
            }
            // The spool's own data is not at risk.
            Err(error) if is_full(error.kind()) => {
                let _ = self.folder.storage().remove(&name);
                Ok(false)
            }
            Err(error) => Err(self.poison("create a segment", error)),
        }
    }

    /// Frees space for `bytes` more bytes. Segments that are kept are removed first; the space that
    /// damage may need is not left to them. Then segments are [evicted](Self::find_victim). Returns `false` if the
    /// space is still not enough.
    pub(super) fn make_room(&mut self, space_for: SpaceFor, bytes: u64) -> Result<bool, SpoolError> {
        while self.bytes() + bytes + self.damage.unused_bytes() > self.budget_bytes && self.remove_kept()? {}
        while self.bytes() + bytes > self.budget_bytes {
            if !self.evict_for(space_for)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Evicts one segment for this purpose. Returns `false` if there is none.
    fn evict_for(&mut self, space_for: SpaceFor) -> Result<bool, SpoolError> {
        let Some((victim, segment, last)) = self.find_victim(space_for) else { return Ok(false) };
        self.evict_segment(victim, (segment, last), DropReason::Evicted)?;
        Ok(true)
    }

    /// Returns the segment that is evicted next for this purpose, its class, and the number of its last record. For a
    /// record, it is the oldest segment of a less important class, or of the class itself if its records were
    /// delivered once or the class drops its oldest records.
    pub(crate) fn find_victim(&self, space_for: SpaceFor) -> Option<(Class, Segment, u64)> {
        let at_rest = Class::ALL.into_iter().find_map(|other| {
            let counters = &self.state.classes[other.index()];
            let (segment, last) = self.logs[other.index()].evictable_segment(counters.cursor)?;
            let is_victim = match space_for {
                SpaceFor::Budget => true,
                SpaceFor::Record(class) | SpaceFor::KeptRecord(class) => {
                    other < class
                        || other == class && (last <= counters.past.reopened_to || self.evicts_own(space_for))
                }
            };
            is_victim.then_some((other, segment, last))
        });
        at_rest.or_else(|| self.find_victim_in_flight(space_for))
    }

    /// Returns the oldest segment of the class that needs space although some of its records are in flight, if the
    /// class drops its oldest records. While the receiver is slower than the producer, some always are.
    fn find_victim_in_flight(&self, space_for: SpaceFor) -> Option<(Class, Segment, u64)> {
        let SpaceFor::Record(class) = space_for else { return None };
        let (segment, last) =
            self.logs[class.index()].oldest_segment().filter(|_| self.evicts_own(space_for))?;
        Some((class, segment, last))
    }

    /// Returns whether records of the class that needs space are evicted for it.
    fn evicts_own(&self, space_for: SpaceFor) -> bool {
        let SpaceFor::Record(class) = space_for else { return false };
        self.policies[class.index()].drop_policy == DropPolicy::Oldest
    }

    /// Removes segments that are kept until they do not exceed their limit.
    pub(super) fn trim_kept(&mut self) -> Result<(), SpoolError> {
        while self.kept_bytes() > self.keep_delivered_bytes && self.remove_kept()? {}
        Ok(())
    }

    /// Removes the oldest segment that is kept although all its records are done, of the least important class
    /// first. Returns `false` if there is none.
    fn remove_kept(&mut self) -> Result<bool, SpoolError> {
        let kept = Class::ALL.into_iter().find_map(|class| {
            let cursor = self.state.classes[class.index()].cursor;
            let (segment, last) = self.logs[class.index()].finished_segment(cursor)?;
            Some((class, segment, last))
        });
        let Some((class, segment, last)) = kept else { return Ok(false) };
        self.remove_finished(class, (segment, last))?;
        Ok(true)
    }

    /// Removes the oldest segment of a class. All its records, of which the last one has the number `last`, are done.
    pub(super) fn remove_finished(
        &mut self,
        class: Class,
        (segment, last): (Segment, u64),
    ) -> Result<(), SpoolError> {
        // The cursor on disk must cover the segment before it is removed.
        if self.saved_state.classes[class.index()].cursor < last {
            self.save_state()?;
        }
        self.log_mut(class).remove_oldest();
        self.remove_segment(class, segment)
    }

    /// Drops the oldest segment of a class, whose last record has the number `last`.
    pub(super) fn evict_segment(
        &mut self,
        class: Class,
        (segment, last): (Segment, u64),
        reason: DropReason,
    ) -> Result<(), SpoolError> {
        self.deliver_received(class, last);
        let (log, counters) = (&mut self.logs[class.index()], &mut self.state.classes[class.index()]);
        counters.give_up_reopened(last, log.received());
        counters.evict(last, log.highest_sent(), reason);
        log.remove_oldest();
        self.save_state()?;
        self.remove_segment(class, segment)
    }

    /// Makes the removal of segments durable.
    pub(super) fn sync_removals(&mut self) -> Result<(), SpoolError> {
        if self.has_unsynced_removals {
            self.folder.storage().sync().map_err(|error| self.poison("remove a segment", error))?;
            self.has_unsynced_removals = false;
        }
        Ok(())
    }

    fn remove_segment(&mut self, class: Class, segment: Segment) -> Result<(), SpoolError> {
        self.has_unsynced_removals = true;
        let result = self.folder.storage().remove(&segment::name(class, segment.first_number));
        result.map_err(|error| self.poison("remove a segment", error))
    }
}

/// Returns whether a file cannot be created because there is no space for it.
fn is_full(failure: io::ErrorKind) -> bool {
    matches!(failure, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
