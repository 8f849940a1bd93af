//! The age limit of a class.

use lopside_delivery::Class;

use super::Spool;
use crate::{DropReason, SpoolError, Storage};

impl<S: Storage> Spool<S> {
    /// Sets the time in Unix seconds, with which the next commits are marked, and by which records expire. `None` if
    /// the clock cannot be trusted: records do not expire then, and the age of new ones is unknown.
    pub fn set_time(&mut self, unix_s: Option<u32>) {
        self.now_s = unix_s;
    }

    /// Drops the records that are older than the limit of their class, one segment at a time, and returns their number.
    /// Records in flight do not expire. Delivered records that are kept are removed and not counted.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn expire(&mut self) -> Result<u64, SpoolError> {
        self.check_usable()?;
        let mut expired = 0;
        for class in Class::ALL {
            expired += self.expire_class(class)?;
        }
        Ok(expired)
    }

    fn expire_class(&mut self, class: Class) -> Result<u64, SpoolError> {
        let policy = self.policies[class.index()];
        let limits =
            self.now_s.and_then(|now_s| policy.closes_before(now_s).zip(policy.expires_before(now_s)));
        let Some((closes_before, expires_before)) = limits else { return Ok(0) };
        if self.logs[class.index()].is_opened_before(closes_before) {
            self.close_segment(class)?;
        }
        let expired_before = self.class_counters(class).dropped(DropReason::Expired);
        while self.is_oldest_before(class, expires_before)? && self.drop_oldest(class)? {}
        Ok(self.class_counters(class).dropped(DropReason::Expired) - expired_before)
    }

    /// Returns whether all records of the oldest segment of a class were committed before this time.
    fn is_oldest_before(&mut self, class: Class, time_s: u32) -> Result<bool, SpoolError> {
        let is_before = self.logs[class.index()].is_oldest_before(self.folder.storage(), time_s);
        is_before.map_err(|error| self.poison("read the age of its records", error))
    }

    /// Drops the oldest segment of a class. Returns `false` if some of its records are in flight or not committed.
    fn drop_oldest(&mut self, class: Class) -> Result<bool, SpoolError> {
        let (log, cursor) = (&self.logs[class.index()], self.state.classes[class.index()].cursor);
        if let Some(finished) = log.finished_segment(cursor) {
            self.remove_finished(class, finished)?;
        } else if let Some(expired) = log.evictable_segment(cursor) {
            self.evict_segment(class, expired, DropReason::Expired)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}
