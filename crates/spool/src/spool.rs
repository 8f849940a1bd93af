use std::{io, ops::RangeInclusive};

use lopside_delivery::Class;

use crate::{
    Counters, DropReason, Options, SpoolError, State, Storage,
    class_log::{ClassLog, SettleOutcome},
    damage::DamageFiles,
    lock::LockedFolder,
    options::{FIXED_BYTES, PAGE_BYTES},
    received_numbers::ReceivedNumbers,
    recovery::{self, Recovery},
    segment::{self, Segment},
    state::StateFile,
};

/// Bytes up to which records are gathered into one block before it is written. A larger record gets a block
/// of its own.
const GATHER_BYTES: u64 = 256 << 10;
/// Number of records by which the state on disk runs ahead of the last record sent, so that it is not written
/// for every record.
const SENT_AHEAD_RECORDS: u64 = 4096;

/// The result of [`Spool::append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The record has this number, and the next commit writes it to disk.
    Accepted(u64),
    /// The spool did not have space for the record.
    Refused,
}

/// A record that was read from the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The epoch of the process that wrote the record.
    pub epoch: u64,
    /// The number of the record in its class, from 1 on.
    pub number: u64,
    /// The bytes that the producer appended.
    pub bytes: Vec<u8>,
}

/// The spool: see the [crate documentation](crate).
#[derive(Debug)]
pub struct Spool<S: Storage> {
    folder: LockedFolder<S>,
    budget_bytes: u64,
    max_record_bytes: usize,
    segment_bytes: u64,
    /// The name before this opening, if the opening has changed it.
    renamed_from: Option<u32>,
    state: State,
    state_file: StateFile<S::File>,
    /// The state as it is on disk.
    saved_state: State,
    /// Whether counters changed that the next commit must write to disk.
    has_unsaved_drops: bool,
    logs: [ClassLog<S::File>; Class::ALL.len()],
    damage: DamageFiles,
    /// Whether segments were removed since the last sync of the folder; a crash could bring them back.
    has_unsynced_removals: bool,
    is_poisoned: bool,
}

impl<S: Storage> Spool<S> {
    /// Opens the spool in a folder, in whatever state a crash may have left it, or creates a new one. The
    /// folder is locked until the spool is closed or dropped.
    ///
    /// # Errors
    /// Returns [`SpoolError::BudgetTooSmall`]; [`SpoolError::InUse`] if the folder is locked, before any
    /// other file of it is read or changed; or [`SpoolError::Disk`].
    pub fn open(storage: S, options: Options) -> Result<Self, SpoolError> {
        Self::open_with_newest(storage, options, &mut |_| {})
    }

    /// Opens the spool like [`open`](Self::open), and passes the records that were committed last to `visit`:
    /// at least those of the last segment of each class, whether or not they are done. A producer that did
    /// not learn whether its records are on disk can look for them there.
    ///
    /// # Errors
    /// Returns the same errors as [`open`](Self::open).
    pub fn open_with_newest(
        storage: S,
        options: Options,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<Self, SpoolError> {
        let failed = SpoolError::disk_error;
        let segment_bytes = options.segment_bytes()?;
        // Recovery would destroy the spool of a process that is writing to it.
        let folder = LockedFolder::lock(storage)?;
        let storage = folder.storage();
        let names = storage.names().map_err(failed("list its files"))?;
        let (mut state_file, stored_state) =
            StateFile::open(storage, &names).map_err(failed("open its state"))?;
        recovery::show_newest(storage, &names, visit).map_err(failed("scan its newest records"))?;
        let recovered = Recovery::inspect_all(storage, &names, stored_state.as_ref(), &options)
            .map_err(failed("scan its segments"))?;
        let (state, renamed_from) = (recovered.state, recovered.renamed_from);
        let damage = DamageFiles::open(storage, &names, options.budget_bytes)
            .map_err(failed("list the damaged data that it has kept"))?;
        state_file.write_found().map_err(failed("write its state"))?;
        // The state on disk counts the torn ends before they are cut off, so that a crash in between cannot
        // hide them.
        state_file.write(&folder, &state).map_err(failed("write its state"))?;
        recovered.clean_up(storage).map_err(failed("clean up its segments"))?;
        let logs = recovered.classes.map(|class| {
            let counters = state.classes[class.class.index()];
            ClassLog::new(class, options.epoch, counters)
        });
        let mut spool = Self {
            folder,
            budget_bytes: options.budget_bytes,
            max_record_bytes: options.record_limit(),
            segment_bytes,
            renamed_from,
            state,
            state_file,
            saved_state: state,
            has_unsaved_drops: false,
            logs,
            damage,
            has_unsynced_removals: true,
            is_poisoned: false,
        };
        spool.make_room(None, 0)?;
        Ok(spool)
    }

    /// Appends a record. It is durable once [`commit`](Self::commit) has returned.
    ///
    /// # Errors
    /// Returns [`SpoolError::TooLarge`], and counts the record as refused; or [`SpoolError::Disk`] or
    /// [`SpoolError::Poisoned`], after which the spool must be opened again.
    pub fn append(&mut self, class: Class, record: &[u8]) -> Result<AppendOutcome, SpoolError> {
        self.check_usable()?;
        if record.len() > self.max_record_bytes {
            self.counters_mut(class).count_dropped(DropReason::Refused, 1);
            self.has_unsaved_drops = true;
            return Err(SpoolError::TooLarge { len: record.len(), most: self.max_record_bytes });
        }
        if self.log_mut(class).has_pending() {
            let gathered_len = self.log_mut(class).len_with(record.len());
            if gathered_len > GATHER_BYTES || !self.log_mut(class).can_fit(gathered_len) {
                self.commit_class(class)?;
            }
        }
        let block_len = self.log_mut(class).len_with(record.len());
        if !self.log_mut(class).can_fit(block_len) && !self.rotate_segment(class, block_len)? {
            self.counters_mut(class).count_dropped(DropReason::Refused, 1);
            self.has_unsaved_drops = true;
            return Ok(AppendOutcome::Refused);
        }
        Ok(AppendOutcome::Accepted(self.log_mut(class).push(record)))
    }

    /// Writes all appended records and the counts of dropped records to disk. Acknowledgements may follow
    /// later with [`checkpoint`](Self::checkpoint): after a crash, the receiver reports again which records
    /// it has.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`]. The fate of everything that was appended
    /// since the last commit is then unknown, and the spool must be opened again.
    pub fn commit(&mut self) -> Result<(), SpoolError> {
        self.check_usable()?;
        for class in Class::ALL {
            self.commit_class(class)?;
        }
        if self.has_unsaved_drops { self.save_state() } else { Ok(()) }
    }

    /// Writes the acknowledgements to disk.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn checkpoint(&mut self) -> Result<(), SpoolError> {
        self.check_usable()?;
        if self.has_unsaved_acknowledgements() { self.save_state() } else { Ok(()) }
    }

    /// Returns whether there are acknowledgements that are not yet on disk.
    #[must_use]
    pub fn has_unsaved_acknowledgements(&self) -> bool {
        let (current, saved) = (&self.state.classes, &self.saved_state.classes);
        current.iter().zip(saved).any(|(current, saved)| current.cursor > saved.cursor)
    }

    /// Returns the highest record number of a class that is settled on disk. The spool no longer asks the
    /// receiver about this record or any record before it.
    #[must_use]
    pub fn settled_on_disk(&self, class: Class) -> u64 {
        let saved = self.saved_state.classes[class.index()];
        saved.in_doubt().map_or(saved.cursor, |doubt| doubt.start() - 1)
    }

    /// Returns the next committed records of a class, one block at a time; an empty vector when all have been
    /// read.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn read(&mut self, class: Class) -> Result<Vec<Record>, SpoolError> {
        self.check_usable()?;
        let free_bytes = self.budget_bytes.saturating_sub(self.bytes() - self.damage_bytes());
        let block = self.logs[class.index()].read(self.folder.storage(), &mut self.damage, free_bytes);
        let block = block.map_err(|error| self.poison("read its records", error))?;
        let Some(block) = block else {
            // Records that are missing at the end are done now: no later record exists whose acknowledgement
            // would cover them.
            self.mark_done(class, self.state.classes[class.index()].cursor)?;
            return Ok(Vec::new());
        };
        let (first, epoch) = (block.header.first_number, block.header.epoch);
        Ok((first..).zip(block.records).map(|(number, bytes)| Record { epoch, number, bytes }).collect())
    }

    /// Declares that the records of a class up to `number`, which have been read, are about to be sent. If
    /// they are evicted after a [`rewind`](Self::rewind), they do not count as dropped. They are [in
    /// doubt](Counters::in_doubt) until [`resolve_received`](Self::resolve_received) reports which of them the receiver has.
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
        let received = ReceivedNumbers::from_ranges(received);
        let counters = self.counters_mut(class);
        if let Some(doubt) = counters.in_doubt() {
            let delivered = received.count(&doubt);
            counters.delivered += delivered;
            counters.count_dropped(DropReason::Evicted, counters.in_doubt_count() - delivered);
            counters.doubt_range = [0; 2];
            self.has_unsaved_drops = true;
        }
        let cursor = self.counters_mut(class).cursor;
        self.log_mut(class).rewind(cursor);
        self.log_mut(class).set_received(received, cursor);
        Ok(())
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
        self.mark_done(class, number)
    }

    /// Moves the reading position of a class back to the first record that is not done.
    pub fn rewind(&mut self, class: Class) {
        let cursor = self.counters_mut(class).cursor;
        self.log_mut(class).rewind(cursor);
    }

    /// Releases the lock, so that the folder can be opened again after a failure. The spool refuses all
    /// further work. Returns the state in memory, which the next opening compares with the disk
    /// ([`Options::last_state`]).
    pub fn close(&mut self) -> State {
        self.is_poisoned = true;
        self.folder.release();
        self.current_state()
    }

    /// Returns the cursor and the counters of a class.
    #[must_use]
    pub fn class_counters(&self, class: Class) -> Counters {
        self.state.classes[class.index()]
    }

    /// Returns the number of committed records of a class that are not done.
    #[must_use]
    pub fn pending_records(&self, class: Class) -> u64 {
        self.logs[class.index()].committed() - self.state.classes[class.index()].cursor
    }

    /// Returns the name of the spool, which distinguishes its numbers from those of an earlier spool at the
    /// same place, and from those of the original if the folder was copied to another machine. It stays the
    /// same for as long as the folder exists on one machine.
    #[must_use]
    pub fn name(&self) -> u32 {
        self.state.spool_name
    }

    /// Returns the name that the spool had before it was opened, if it was bound to another machine than the
    /// one that has opened it. Its records are kept, with their epochs and numbers.
    #[must_use]
    pub fn renamed_from(&self) -> Option<u32> {
        self.renamed_from
    }

    /// Returns the number of log ends that crashes had torn.
    #[must_use]
    pub fn torn_ends(&self) -> u64 {
        self.state.torn_ends
    }

    /// Returns the size of all files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        FIXED_BYTES + self.damage_bytes() + self.logs.iter().map(ClassLog::bytes).sum::<u64>()
    }

    /// Returns the bytes of damage that are kept for inspection.
    #[must_use]
    pub fn damage_bytes(&self) -> u64 {
        self.damage.bytes()
    }

    /// Returns the size of the largest record that the spool accepts, in bytes.
    #[must_use]
    pub fn max_record_bytes(&self) -> usize {
        self.max_record_bytes
    }

    fn log_mut(&mut self, class: Class) -> &mut ClassLog<S::File> {
        &mut self.logs[class.index()]
    }

    fn counters_mut(&mut self, class: Class) -> &mut Counters {
        &mut self.state.classes[class.index()]
    }

    fn check_usable(&self) -> Result<(), SpoolError> {
        if self.is_poisoned { Err(SpoolError::Poisoned) } else { Ok(()) }
    }

    fn poison(&mut self, operation: &'static str, source: io::Error) -> SpoolError {
        self.is_poisoned = true;
        SpoolError::Disk { doing: operation, source }
    }

    fn commit_class(&mut self, class: Class) -> Result<(), SpoolError> {
        let committed = self.logs[class.index()].commit(&self.folder);
        committed.map_err(|error| self.poison("write its records", error))
    }

    /// Returns the state with the records that are on disk now.
    fn current_state(&self) -> State {
        State { committed: self.logs.each_ref().map(ClassLog::committed), ..self.state }
    }

    /// Writes the cursors and counters to disk.
    fn save_state(&mut self) -> Result<(), SpoolError> {
        let state = State { generation: self.state.generation + 1, ..self.current_state() };
        self.state_file.write(&self.folder, &state).map_err(|error| self.poison("write its state", error))?;
        (self.state, self.saved_state) = (state, state);
        self.has_unsaved_drops = false;
        Ok(())
    }

    /// Seals the current segment of a class and begins a new one that can hold a block of `block_len` bytes.
    /// Returns `false` if there is not enough space.
    fn rotate_segment(&mut self, class: Class, block_len: u64) -> Result<bool, SpoolError> {
        self.commit_class(class)?;
        let result = self.logs[class.index()].seal(&self.folder);
        result.map_err(|error| self.poison("close a segment", error))?;
        self.remove_finished(class)?;
        let len = self.segment_bytes.max(block_len.next_multiple_of(PAGE_BYTES));
        if !self.make_room(Some(class), len)? {
            return Ok(false);
        }
        if self.has_unsynced_removals {
            // The space of the removed segments is free only after their removal is durable.
            self.folder.storage().sync().map_err(|error| self.poison("remove a segment", error))?;
            self.has_unsynced_removals = false;
        }
        let name = segment::name(class, self.log_mut(class).committed() + 1);
        match self.folder.storage().create(&name, len) {
            Ok(file) => {
                let synced = self.folder.storage().sync();
                synced.map_err(|error| self.poison("make a new segment durable", error))?;
                self.log_mut(class).begin(file, len);
                Ok(true)
            }
            // Other programs have filled the disk. The spool's own data is not at risk.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let _ = self.folder.storage().remove(&name);
                Ok(false)
            }
            Err(error) => Err(self.poison("create a segment", error)),
        }
    }

    /// Frees space for `bytes` more bytes of a class by evicting the oldest segments of less important
    /// classes, the least important first. `None` evicts from every class. Returns `false` if the space is
    /// still not enough.
    fn make_room(&mut self, class: Option<Class>, bytes: u64) -> Result<bool, SpoolError> {
        while self.bytes() + bytes > self.budget_bytes {
            let lower_classes =
                Class::ALL.into_iter().filter(|&other| class.is_none_or(|class| other < class));
            let victims = lower_classes.filter_map(|other| {
                let victim =
                    self.logs[other.index()].evictable_segment(self.state.classes[other.index()].cursor);
                victim.map(|(segment, last)| (other, segment, last))
            });
            let Some((other, segment, last)) = victims.into_iter().next() else { return Ok(false) };
            self.evict_segment(other, segment, last)?;
        }
        Ok(true)
    }

    /// Evicts a segment, whose last record has the number `last`.
    fn evict_segment(&mut self, class: Class, segment: Segment, last: u64) -> Result<(), SpoolError> {
        self.deliver_received(class, last);
        let highest_sent = self.log_mut(class).highest_sent();
        self.counters_mut(class).evict(last, highest_sent);
        self.log_mut(class).remove_oldest();
        self.save_state()?;
        self.remove_segment(class, segment)
    }

    /// Counts the records that directly follow the cursor, up to `last`, as delivered if the receiver has
    /// them.
    fn deliver_received(&mut self, class: Class, last: u64) {
        if self.counters_mut(class).in_doubt().is_some() {
            return;
        }
        let cursor = self.counters_mut(class).cursor;
        let received = self.log_mut(class).received_after(cursor).min(last);
        let counters = self.counters_mut(class);
        counters.delivered += received.saturating_sub(cursor);
        counters.cursor = received.max(cursor);
    }

    /// Marks records up to `number` as done. They are delivered, or missing on disk and counted as damaged.
    fn mark_done(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        // The records in doubt form one range, which may grow over these records: they would be counted
        // twice.
        if self.counters_mut(class).in_doubt().is_some() {
            return Ok(());
        }
        let SettleOutcome { cursor, lost } = self.log_mut(class).settle(number);
        let counters = self.counters_mut(class);
        if cursor == counters.cursor {
            return Ok(());
        }
        counters.delivered += cursor - counters.cursor - lost;
        counters.count_dropped(DropReason::Damaged, lost);
        counters.cursor = cursor;
        self.has_unsaved_drops |= lost > 0;
        self.remove_finished(class)
    }

    /// Removes the oldest segments whose records are all done, after the state on disk covers them.
    fn remove_finished(&mut self, class: Class) -> Result<(), SpoolError> {
        let cursor = self.counters_mut(class).cursor;
        while let Some(segment) = self.log_mut(class).finished_segment(cursor) {
            if self.has_unsaved_drops || self.has_unsaved_acknowledgements() {
                self.save_state()?;
            }
            self.log_mut(class).remove_oldest();
            self.remove_segment(class, segment)?;
        }
        Ok(())
    }

    fn remove_segment(&mut self, class: Class, segment: Segment) -> Result<(), SpoolError> {
        self.has_unsynced_removals = true;
        let result = self.folder.storage().remove(&segment::name(class, segment.first_number));
        result.map_err(|error| self.poison("remove a segment", error))
    }
}
