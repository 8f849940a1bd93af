//! The distribution of the budget: new segments, segments that are kept, and evictions.

use std::io;

use lopside_delivery::Class;

use super::Spool;
use crate::{
    SpoolError, Storage,
    options::PAGE_BYTES,
    segment::{self, Segment},
};

impl<S: Storage> Spool<S> {
    /// Seals the current segment of a class and begins a new one that can hold a block of `block_len` bytes.
    /// Returns `false` if there is not enough space, in the budget or on the disk.
    pub(super) fn rotate_segment(&mut self, class: Class, block_len: u64) -> Result<bool, SpoolError> {
        self.commit_class(class)?;
        let result = self.logs[class.index()].seal(&self.folder);
        result.map_err(|error| self.poison("close a segment", error))?;
        self.trim_kept()?;
        let len = self.segment_bytes.max(block_len.next_multiple_of(PAGE_BYTES));
        if !self.make_room(Some(class), len)? {
            return Ok(false);
        }
        while !self.begin_segment(class, len)? {
            // Other programs have filled the disk.
            if !self.remove_kept()? && !self.evict_for(Some(class))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins a segment of `len` bytes. Returns `false` if the disk is full.
    fn begin_segment(&mut self, class: Class, len: u64) -> Result<bool, SpoolError> {
        // The space of the removed segments is free only after their removal is durable.
        self.sync_removals()?;
        let name = segment::name(class, self.log_mut(class).committed() + 1);
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

    /// Frees space for `bytes` more bytes of a class. Segments that are kept are removed first; the space that
    /// damage may need is not left to them. Then segments are [evicted](Self::find_victim). Returns `false` if the
    /// space is still not enough.
    pub(super) fn make_room(&mut self, class: Option<Class>, bytes: u64) -> Result<bool, SpoolError> {
        while self.bytes() + bytes + self.damage.unused_bytes() > self.budget_bytes && self.remove_kept()? {}
        while self.bytes() + bytes > self.budget_bytes {
            if !self.evict_for(class)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Evicts one segment for a class. Returns `false` if there is none.
    fn evict_for(&mut self, class: Option<Class>) -> Result<bool, SpoolError> {
        let Some((victim, segment, last)) = self.find_victim(class) else { return Ok(false) };
        self.evict_segment(victim, segment, last)?;
        Ok(true)
    }

    /// Returns the segment that is evicted next if a record of a class needs space, its class, and the number of its
    /// last record: the oldest segment of the least important class, or of the class itself if its records were
    /// delivered once. `None` as the class evicts from every class.
    pub(crate) fn find_victim(&self, class: Option<Class>) -> Option<(Class, Segment, u64)> {
        Class::ALL.into_iter().find_map(|other| {
            let counters = &self.state.classes[other.index()];
            let (segment, last) = self.logs[other.index()].evictable_segment(counters.cursor)?;
            let is_victim = class
                .is_none_or(|class| other < class || other == class && last <= counters.past.reopened_to);
            is_victim.then_some((other, segment, last))
        })
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
        // The cursor on disk must cover the segment before it is removed.
        if self.saved_state.classes[class.index()].cursor < last {
            self.save_state()?;
        }
        self.log_mut(class).remove_oldest();
        self.remove_segment(class, segment)?;
        Ok(true)
    }

    /// Evicts a segment, whose last record has the number `last`.
    fn evict_segment(&mut self, class: Class, segment: Segment, last: u64) -> Result<(), SpoolError> {
        self.deliver_received(class, last);
        let (log, counters) = (&mut self.logs[class.index()], &mut self.state.classes[class.index()]);
        counters.give_up_reopened(last, log.received());
        counters.evict(last, log.highest_sent());
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
