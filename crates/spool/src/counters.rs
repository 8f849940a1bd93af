use std::{mem, ops::RangeInclusive};

use crate::{lost_numbers::LostNumbers, number_ranges::NumberRanges};

/// The reason why a record was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The record was evicted to make space for another one.
    Evicted,
    /// The spool did not have space for the record, or the record was too large.
    Refused,
    /// The record is missing on disk or damaged.
    Damaged,
    /// The record was older than the limit of its class.
    Expired,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Evicted, Self::Refused, Self::Damaged, Self::Expired];
}

/// The cursor and the counters of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// The cursor: the last record that is done. This record and all before it are delivered, dropped or in
    /// doubt.
    pub cursor: u64,
    /// Number of records that the receiver acknowledged and that are not pending again.
    pub delivered: u64,
    /// Number of records that were dropped, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Upper bound on the records that were sent: no record after this one has been sent.
    pub highest_sent: u64,
    /// The first and the last record in doubt; 0 if there are none.
    pub doubt_range: [u64; 2],
    /// The highest record that the receiver has acknowledged or reported to have; 0 if there is none.
    pub acknowledged: u64,
    /// Number of delivered records that the receiver has lost since and of which the spool does not have a
    /// copy any more. It is an upper bound: the spool does not remember which records of a lost range it had
    /// dropped itself.
    pub lost: u64,
    /// Notes about the records that were done at some time.
    pub past: PastRecords,
}

/// Notes about the records of a class that were done at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PastRecords {
    /// The last record that was evicted or has expired: no record up to this one is kept. 0 if there is none.
    pub(crate) evicted_to: u64,
    /// The last record that was done when the cursor was moved back. The records from the cursor to this one
    /// are pending again.
    pub(crate) reopened_to: u64,
    /// Number of these records that count as damaged as soon as all of them are done again.
    pub(crate) reopened_damaged: u64,
    /// The records that are counted as lost.
    pub(crate) lost_numbers: LostNumbers,
}

impl Counters {
    /// Returns the range of records that were evicted after they were sent and before they were acknowledged,
    /// or `None`. Only the receiver knows whether they are delivered.
    #[must_use]
    pub fn in_doubt(&self) -> Option<RangeInclusive<u64>> {
        let [first, last] = self.doubt_range;
        (first > 0).then_some(first..=last)
    }

    /// Returns the number of records in doubt.
    #[must_use]
    pub fn in_doubt_count(&self) -> u64 {
        self.in_doubt().map_or(0, |range| range.end() - range.start() + 1)
    }

    /// Returns the number of records dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(crate) fn count_dropped(&mut self, reason: DropReason, records: u64) {
        self.dropped[reason as usize] += records;
    }

    /// Notes that the receiver has a record.
    pub(crate) fn note_acknowledged(&mut self, number: u64) {
        self.acknowledged = self.acknowledged.max(number);
    }

    /// Marks all records up to `cursor` as done: they are delivered, except for the missing ones. A missing
    /// record counts as damaged. If it was done before, then it is lost, or has been counted as damaged before.
    /// `first_stored` is the number of the first record that the spool has.
    pub(crate) fn settle(&mut self, cursor: u64, missing: &NumberRanges, first_stored: u64) {
        let missing_again = missing.within(&(1..=self.past.reopened_to));
        let damaged = missing.total() - missing_again.total();
        self.delivered += cursor - self.cursor - damaged;
        self.count_dropped(DropReason::Damaged, damaged);
        self.cursor = cursor;
        self.finish_reopened();
        self.count_lost(&missing_again.within(&(1..=self.acknowledged)), first_stored);
    }

    /// Drops all records up to `last` for this reason. Those up to `highest_sent` may have been sent and are in doubt.
    pub(crate) fn evict(&mut self, last: u64, highest_sent: u64, reason: DropReason) {
        let last_in_doubt = last.min(highest_sent);
        // Nothing is sent while records are in doubt. Records after some that were evicted unsent were
        // therefore not sent either, although a spool that was opened again cannot tell.
        let is_behind_unsent = self.doubt_range[0] > 0 && self.doubt_range[1] < self.cursor;
        if last_in_doubt > self.cursor && !is_behind_unsent {
            let first = if self.doubt_range[0] > 0 { self.doubt_range[0] } else { self.cursor + 1 };
            self.doubt_range = [first, last_in_doubt];
            self.cursor = last_in_doubt;
        }
        self.count_dropped(reason, last.saturating_sub(self.cursor));
        self.cursor = self.cursor.max(last);
        self.past.evicted_to = self.past.evicted_to.max(last);
    }

    /// Moves the cursor back to `cursor`: the records after it are pending again.
    pub(crate) fn reopen(&mut self, cursor: u64) {
        let reopened = self.cursor - cursor;
        // Damaged records among them cannot be told apart. Only if there are not enough delivered ones is it
        // certain that some were damaged.
        let damaged = reopened.saturating_sub(self.delivered).min(self.dropped(DropReason::Damaged));
        self.delivered = self.delivered.saturating_sub(reopened - damaged);
        self.dropped[DropReason::Damaged as usize] -= damaged;
        self.lost = self.lost.min(self.delivered);
        self.past.reopened_damaged += damaged;
        self.past.reopened_to = self.past.reopened_to.max(self.cursor);
        self.cursor = cursor;
    }

    /// Gives up the records up to `last` that are pending again, to make space: those that the receiver does
    /// not have are lost.
    pub(crate) fn give_up_reopened(&mut self, last: u64, received: &NumberRanges) {
        let last = last.min(self.past.reopened_to);
        if last > self.cursor {
            let not_received = received.missing_from(&(self.cursor + 1..=last));
            let lost = not_received.within(&(1..=self.acknowledged));
            self.delivered += last - self.cursor;
            self.cursor = last;
            self.finish_reopened();
            self.count_lost(&lost, last + 1);
        }
    }

    /// Counts records as lost that were delivered and that neither the receiver nor the spool has. Returns how
    /// many of them were not counted before.
    pub(crate) fn count_lost(&mut self, numbers: &NumberRanges, first_stored: u64) -> u64 {
        let new_count = self.past.lost_numbers.insert(numbers, first_stored);
        self.lost = (self.lost + new_count).min(self.delivered);
        new_count
    }

    /// Counts reopened records as damaged again once all of them are done.
    fn finish_reopened(&mut self) {
        if self.cursor >= self.past.reopened_to {
            let damaged = mem::take(&mut self.past.reopened_damaged).min(self.delivered);
            self.delivered -= damaged;
            self.count_dropped(DropReason::Damaged, damaged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(counters: &mut Counters, cursor: u64, missing: &[RangeInclusive<u64>]) {
        counters.settle(cursor, &NumberRanges::from_ranges(missing), 1);
    }

    #[test]
    fn evicted_records_that_were_sent_are_in_doubt() {
        let mut counters = Counters { cursor: 3, delivered: 3, ..Counters::default() };
        let evicted = DropReason::Evicted;
        counters.evict(5, 8, evicted);
        assert_eq!((counters.in_doubt(), counters.cursor), (Some(4..=5), 5));
        counters.evict(12, 8, evicted);
        assert_eq!((counters.in_doubt(), counters.in_doubt_count(), counters.cursor), (Some(4..=8), 5, 12));
        assert_eq!(counters.dropped(DropReason::Evicted), 4);
        counters.evict(10, 8, evicted);
        assert_eq!(
            (counters.in_doubt_count(), counters.dropped(DropReason::Evicted), counters.cursor),
            (5, 4, 12)
        );
        counters.evict(20, 30, evicted);
        assert_eq!(
            (counters.in_doubt_count(), counters.dropped(DropReason::Evicted), counters.cursor),
            (5, 12, 20)
        );
        assert_eq!(counters.past.evicted_to, 20);
        counters.evict(23, 0, DropReason::Expired);
        assert_eq!((counters.dropped(DropReason::Expired), counters.cursor), (3, 23));
        assert_eq!((counters.in_doubt_count(), counters.past.evicted_to), (5, 23));
    }

    #[test]
    fn reopened_records_count_as_before_once_they_are_done_again() {
        let mut counters = Counters::default();
        settle(&mut counters, 10, &[4..=5]);
        counters.note_acknowledged(10);
        let before = counters;
        assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (8, 2));
        counters.reopen(2);
        assert_eq!((counters.cursor, counters.delivered, counters.dropped(DropReason::Damaged)), (2, 0, 2));
        settle(&mut counters, 10, &[4..=5]);
        assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (8, 2));
        assert_eq!((counters.cursor, counters.lost), (before.cursor, 2), "they may have been delivered");
        settle(&mut counters, 13, &[12..=12]);
        assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (10, 3));
    }

    #[test]
    fn more_damaged_than_delivered_records_can_be_reopened() {
        let mut counters = Counters::default();
        settle(&mut counters, 10, &[2..=9]);
        counters.reopen(0);
        assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (0, 0));
        settle(&mut counters, 6, &[2..=6]);
        assert_eq!(counters.delivered + counters.dropped(DropReason::Damaged), 6);
        settle(&mut counters, 10, &[7..=9]);
        assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (2, 8));
    }

    #[test]
    fn reopened_records_that_have_to_make_space_are_lost() {
        let mut counters = Counters::default();
        settle(&mut counters, 10, &[]);
        counters.note_acknowledged(10);
        counters.reopen(4);
        counters.give_up_reopened(12, &NumberRanges::from_ranges(&[8..=9]));
        counters.evict(12, 0, DropReason::Evicted);
        assert_eq!((counters.cursor, counters.delivered, counters.lost), (12, 10, 4));
        assert_eq!((counters.dropped(DropReason::Evicted), counters.in_doubt()), (2, None));
    }
}
