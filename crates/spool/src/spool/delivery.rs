//! The side of the receiver: which records it has, has acknowledged, or has lost.

use std::ops::RangeInclusive;

use lopside_delivery::Class;

use super::Spool;
use crate::{DropReason, SpoolError, Storage, class_log::SettleOutcome, number_ranges::NumberRanges};

/// Number of records by which the state on disk runs ahead of the last record sent, so that it is not written
/// for every record.
const SENT_AHEAD_RECORDS: u64 = 4096;

/// The result of [`Spool::reopen_lost`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossOutcome {
    /// Number of lost records that are pending again.
    pub reopened: u64,
    /// Number of lost records of which the spool does not have a copy, without those that were counted
    /// before.
    pub gone: u64,
}

impl<S: Storage> Spool<S> {
    /// Returns whether there are acknowledgements that are not yet on disk.
    #[must_use]
    pub fn has_unsaved_acknowledgements(&self) -> bool {
        let (current, saved) = (&self.state.classes, &self.saved_state.classes);
        let mut classes = current.iter().zip(saved);
        classes.any(|(current, saved)| {
            current.cursor > saved.cursor || current.acknowledged > saved.acknowledged
        })
    }

    /// Returns the highest record number of a class that is settled on disk. The spool no longer asks the
    /// receiver about this record or any record before it, unless the receiver [loses](Self::reopen_lost)
    /// some of them.
    #[must_use]
    pub fn settled_on_disk(&self, class: Class) -> u64 {
        let saved = self.saved_state.classes[class.index()];
        saved.in_doubt().map_or(saved.cursor, |doubt| doubt.start() - 1)
    }

    /// Returns the highest record number of a class that the receiver has acknowledged, as far as the disk
    /// knows; 0 if there is none. A receiver that does not know of any record so high was set back to an
    /// earlier state.
    #[must_use]
    pub fn acknowledged_on_disk(&self, class: Class) -> u64 {
        self.saved_state.classes[class.index()].acknowledged
    }

    /// Declares that the records of a class up to `number`, which have been read, are about to be sent. If
    /// they are evicted after a [`rewind`](Self::rewind), they do not count as dropped. They are [in
    /// doubt](crate::Counters::in_doubt) until [`resolve_received`](Self::resolve_received) reports which of them
    /// the receiver has.
    ///
    /// # Errors
    /// Returns [`SpoolError::InDoubt`] while records are in doubt; [`SpoolError::Disk`] or
    /// [`SpoolError::Poisoned`].
    pub fn mark_sending(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        self.check_usable()?;
        if self.counters_mut(class).in_doubt().is_some() {
            return Err(SpoolError::InDoubt { class });
        }
        self.log_mut(class).mark_sending(number);
        if number > self.counters_mut(class).highest_sent {
            self.counters_mut(class).highest_sent = number.saturating_add(SENT_AHEAD_RECORDS);
            self.save_state()?;
        }
        Ok(())
    }

    /// Returns the first of the record numbers that the receiver has reported under this spool's name, but that
    /// this spool has not given to any record that it has sent in this epoch; `None` if it may have sent all of
    /// them. An unknown number means that the spool was copied or set back to an earlier state: it has forgotten
    /// the records that it sent since, and has used or will use their numbers again. Only headers of blocks are
    /// read.
    ///
    /// Numbers that are settled on disk are not checked, and neither is the epoch of a record that is not in any
    /// segment.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn find_unknown(
        &mut self,
        class: Class,
        epoch: u64,
        reported: &[RangeInclusive<u64>],
    ) -> Result<Option<u64>, SpoolError> {
        self.check_usable()?;
        let (log, counters) = (&self.logs[class.index()], &self.state.classes[class.index()]);
        let unsettled = self.settled_on_disk(class) + 1..=u64::MAX;
        let reported = NumberRanges::from_ranges(reported).within(&unsettled);
        let not_committed = reported.first_from(log.committed() + 1);
        // Records after those in doubt were evicted before they were sent.
        let unsent = counters.in_doubt().map(|doubt| doubt.end() + 1..=counters.cursor);
        let not_sent = unsent.and_then(|unsent| reported.within(&unsent).first());
        let other_epoch = log.find_other_epoch(self.folder.storage(), epoch, &reported);
        let other_epoch = other_epoch.map_err(|error| self.poison("read its records", error))?;
        Ok([not_committed, not_sent, other_epoch].into_iter().flatten().min())
    }

    /// Gives the spool another name, because it was copied or set back to an earlier state: `new_name`, which must
    /// be random. The records keep their epochs and numbers. All that are not done are sent again under the new
    /// name, of which the receiver does not know any records. Returns the previous name, after the new one is on
    /// disk.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn take_new_name(&mut self, new_name: u32) -> Result<u32, SpoolError> {
        self.check_usable()?;
        let mut state = self.current_state();
        let previous_name = state.rename(new_name);
        self.write_state(&state)?;
        for class in Class::ALL {
            let cursor = self.counters_mut(class).cursor;
            self.log_mut(class).rewind(cursor);
            self.log_mut(class).set_received(NumberRanges::default(), cursor);
        }
        Ok(previous_name)
    }

    /// Applies the receiver's report of the record numbers that it has, among those in doubt and those that
    /// are not done. The receiver must no longer accept records that were sent on an earlier connection. The
    /// caller resolves each class before it sends the first record on a new connection. Records that the
    /// receiver has are not read again.
    ///
    /// # Errors
    /// Returns [`SpoolError::Poisoned`].
    pub fn resolve_received(
        &mut self,
        class: Class,
        received: &[RangeInclusive<u64>],
    ) -> Result<(), SpoolError> {
        self.check_usable()?;
        let received = NumberRanges::from_ranges(received);
        let counters = self.counters_mut(class);
        if let Some(doubt) = counters.in_doubt() {
            let delivered = received.within(&doubt);
            counters.delivered += delivered.total();
            counters.note_acknowledged(delivered.last());
            counters.count_dropped(DropReason::Evicted, counters.in_doubt_count() - delivered.total());
            counters.doubt_range = [0; 2];
            self.has_unsaved_drops = true;
        }
        let cursor = self.counters_mut(class).cursor;
        self.log_mut(class).rewind(cursor);
        self.log_mut(class).set_received(received, cursor);
        Ok(())
    }

    /// Applies the receiver's report of records that it had acknowledged and has lost, because it was set back to
    /// an earlier state. The caller has called [`resolve_received`](Self::resolve_received) for the class before.
    ///
    /// The cursor moves back, also on disk, to the first lost record that the spool still has. From there on, all
    /// lost records are pending again; the other records count as received. Lost records of which the spool does
    /// not have a copy are counted as [lost](crate::Counters::lost), each once. Numbers that were never
    /// acknowledged are ignored.
    ///
    /// # Errors
    /// Returns [`SpoolError::InDoubt`] while records are in doubt; [`SpoolError::Disk`] or
    /// [`SpoolError::Poisoned`].
    pub fn reopen_lost(
        &mut self,
        class: Class,
        lost: &[RangeInclusive<u64>],
    ) -> Result<LossOutcome, SpoolError> {
        self.check_usable()?;
        let counters = self.class_counters(class);
        if counters.in_doubt().is_some() {
            return Err(SpoolError::InDoubt { class });
        }
        let acknowledged = counters.acknowledged.min(counters.cursor);
        let lost = NumberRanges::from_ranges(lost).within(&(1..=acknowledged));
        if lost.is_empty() {
            return Ok(LossOutcome::default());
        }
        // A crash must not bring records back that are counted as lost.
        self.sync_removals()?;
        let (log, counters) = (&mut self.logs[class.index()], &mut self.state.classes[class.index()]);
        let first_stored = log.first_stored();
        let gone = lost.within(&(1..=first_stored.saturating_sub(1)));
        let gone = counters.count_lost(&gone, first_stored);
        // Records that are counted as lost are unreadable.
        let stored = lost.within(&(first_stored..=acknowledged));
        let stored = stored.without(&counters.past.lost_numbers.to_ranges());
        if let Some(first) = stored.first() {
            let others = stored.missing_from(&(first..=counters.cursor));
            counters.reopen(first - 1);
            log.reopen(first - 1, &others);
        }
        if gone > 0 || !stored.is_empty() {
            self.save_state()?;
        }
        Ok(LossOutcome { reopened: stored.total(), gone })
    }

    /// Acknowledges that all records of a class up to `number` have been delivered. Records that were not
    /// read are not acknowledged. The call does nothing while records are in doubt, because
    /// [`resolve_received`](Self::resolve_received) reports these records again.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn acknowledge(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        self.check_usable()?;
        let number = number.min(self.log_mut(class).last_read());
        if number <= self.counters_mut(class).cursor {
            return Ok(());
        }
        self.mark_done(class, number, number)
    }

    /// Moves the reading position of a class back to the first record that is not done.
    pub fn rewind(&mut self, class: Class) {
        let cursor = self.counters_mut(class).cursor;
        self.log_mut(class).rewind(cursor);
    }

    /// Counts the records that directly follow the cursor, up to `last`, as delivered if the receiver has
    /// them.
    pub(super) fn deliver_received(&mut self, class: Class, last: u64) {
        let (log, counters) = (&self.logs[class.index()], &mut self.state.classes[class.index()]);
        let received = log.received_after(counters.cursor).min(last);
        if received > counters.cursor && counters.in_doubt().is_none() {
            counters.settle(received, &NumberRanges::default(), log.first_stored());
            counters.note_acknowledged(log.reported_up_to(received));
        }
    }

    /// Marks records up to `number` as done. They are delivered, or missing on disk and counted as damaged. The
    /// receiver has acknowledged the record `acknowledged`; 0 if this is not known.
    pub(super) fn mark_done(
        &mut self,
        class: Class,
        number: u64,
        acknowledged: u64,
    ) -> Result<(), SpoolError> {
        // The records in doubt form one range, which may grow over these records: they would be counted
        // twice.
        if self.counters_mut(class).in_doubt().is_some() {
            return Ok(());
        }
        let (log, counters) = (&mut self.logs[class.index()], &mut self.state.classes[class.index()]);
        let SettleOutcome { cursor, missing, reported } = log.settle(number);
        if cursor == counters.cursor {
            return Ok(());
        }
        // Missing records are compared with what was acknowledged before.
        counters.settle(cursor, &missing, log.first_stored());
        counters.note_acknowledged(acknowledged.max(reported));
        self.has_unsaved_drops |= !missing.is_empty();
        self.trim_kept()
    }
}
