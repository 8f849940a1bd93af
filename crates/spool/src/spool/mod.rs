//! The spool: appending, committing and reading records. [`delivery`] is the side of the receiver, [`space`]
//! distributes the budget, [`age`] drops old records.

mod age;
mod delivery;
mod space;

use std::io;

use lopside_delivery::Class;

pub use self::delivery::LossOutcome;
pub(crate) use self::space::SpaceFor;
use crate::{
    ClassPolicy, Counters, DropReason, NameChange, Options, SpoolError, State, Storage,
    class_log::ClassLog,
    damage::DamageFiles,
    lock::LockedFolder,
    options::FIXED_BYTES,
    recovery::{self, Recovery},
    state_file::StateFile,
    strays::is_stray_name,
};

/// Bytes up to which records are gathered into one block before it is written. A larger record gets a block
/// of its own.
const GATHER_BYTES: u64 = 256 << 10;

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
    keep_delivered_bytes: u64,
    /// Bytes of the largest record that the budget permits, and of the largest one that the receiver accepts.
    budget_record_bytes: usize,
    receiver_record_bytes: usize,
    segment_bytes: u64,
    policies: [ClassPolicy; Class::ALL.len()],
    /// The time in Unix seconds; `None` if it is unknown.
    now_s: Option<u32>,
    /// Number of files in the folder that were found there as strays.
    stray_files: usize,
    /// The reason for the change, if this opening has changed the name.
    name_change: Option<NameChange>,
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
        let segment_bytes = options.segment_bytes()?;
        // Recovery would destroy the spool of a process that is writing to it.
        let folder = LockedFolder::lock(storage)?;
        let storage = folder.storage();
        let failed = |doing| SpoolError::disk_error(doing, storage.folder());
        let names = storage.names().map_err(failed("list its files"))?;
        let (mut state_file, stored_state) =
            StateFile::open(storage, &names).map_err(failed("open its state"))?;
        let recovered = Recovery::inspect_all(storage, &names, stored_state.as_ref(), &options)
            .map_err(failed("scan its segments"))?;
        recovery::show_newest(storage, &recovered.without_strays(&names), visit)
            .map_err(failed("scan its newest records"))?;
        let stray_files = names.iter().filter(|name| is_stray_name(name)).count() + recovered.stray_count();
        let (state, name_change) = (recovered.state, recovered.name_change);
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
            keep_delivered_bytes: options.keep_delivered_bytes,
            budget_record_bytes: options.record_limit(),
            receiver_record_bytes: options.max_record_bytes,
            segment_bytes,
            policies: options.policies,
            now_s: None,
            stray_files,
            name_change,
            state,
            state_file,
            saved_state: state,
            has_unsaved_drops: false,
            logs,
            damage,
            has_unsynced_removals: true,
            is_poisoned: false,
        };
        spool.make_room(SpaceFor::Budget, 0)?;
        spool.trim_kept()?;
        Ok(spool)
    }

    /// Appends a record. It is durable once [`commit`](Self::commit) has returned.
    ///
    /// # Errors
    /// Returns [`SpoolError::TooLarge`] or [`SpoolError::TooLargeForReceiver`], and counts the record as refused;
    /// or [`SpoolError::Disk`] or [`SpoolError::Poisoned`], after which the spool must be opened again.
    pub fn append(&mut self, class: Class, record: &[u8]) -> Result<AppendOutcome, SpoolError> {
        let outcome = self.store(class, record, SpaceFor::Record(class))?;
        if outcome == AppendOutcome::Refused {
            self.count_refused(class);
        }
        Ok(outcome)
    }

    /// Appends a record like [`append`](Self::append), but does not count a record for which there is no space:
    /// the producer keeps it, and appends it again later. Therefore it does not evict records of its own class,
    /// whatever the [policy](crate::DropPolicy).
    ///
    /// # Errors
    /// Returns the same errors as [`append`](Self::append).
    pub fn try_append(&mut self, class: Class, record: &[u8]) -> Result<AppendOutcome, SpoolError> {
        self.store(class, record, SpaceFor::KeptRecord(class))
    }

    fn store(
        &mut self,
        class: Class,
        record: &[u8],
        space_for: SpaceFor,
    ) -> Result<AppendOutcome, SpoolError> {
        self.check_usable()?;
        if let Err(error) = self.check_record(record.len()) {
            self.count_refused(class);
            return Err(error);
        }
        if self.log_mut(class).has_pending() {
            let gathered_len = self.log_mut(class).len_with(record.len());
            if gathered_len > GATHER_BYTES || !self.log_mut(class).can_fit(gathered_len) {
                self.commit_class(class)?;
            }
        }
        let block_len = self.log_mut(class).len_with(record.len());
        if !self.log_mut(class).can_fit(block_len) && !self.rotate_segment(class, block_len, space_for)? {
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

    /// Returns the next committed records of a class, one block at a time; an empty vector when all have been
    /// read. If the class drops its [oldest](crate::DropPolicy::Oldest) records, they may be evicted before they are
    /// acknowledged, and are then in doubt if [`mark_sending`](Self::mark_sending) was called.
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
            self.mark_done(class, self.state.classes[class.index()].cursor, 0)?;
            return Ok(Vec::new());
        };
        let (first, epoch) = (block.header.first_number, block.header.epoch);
        Ok((first..).zip(block.records).map(|(number, bytes)| Record { epoch, number, bytes }).collect())
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
    /// same for as long as the folder exists on one machine and belongs to a device of one name.
    #[must_use]
    pub fn name(&self) -> u32 {
        self.state.spool_name
    }

    /// Returns the reason why the spool took a new name when it was opened: it was bound to another machine or to
    /// a device of another name. `None` if it kept its name. Its records are kept, with their epochs and numbers.
    #[must_use]
    pub fn name_change(&self) -> Option<NameChange> {
        self.name_change
    }

    /// Returns the number of times that the spool took a new name, because it was copied or set back.
    #[must_use]
    pub fn times_renamed(&self) -> u64 {
        self.state.times_renamed
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

    /// Returns the size in bytes of the segments that are kept although all their records are done, included in
    /// [`bytes`](Self::bytes).
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        let logs = self.logs.iter().zip(&self.state.classes);
        logs.map(|(log, counters)| log.kept_bytes(counters.cursor)).sum()
    }

    /// Returns the number of files in the folder that had the name of a segment when the spool was opened, and did not
    /// belong to it. They are kept under names that begin with `stray-`.
    #[must_use]
    pub fn stray_files(&self) -> usize {
        self.stray_files
    }

    /// Returns the size of the largest record that the spool accepts, in bytes.
    #[must_use]
    pub fn max_record_bytes(&self) -> usize {
        self.budget_record_bytes.min(self.receiver_record_bytes)
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

    fn count_refused(&mut self, class: Class) {
        self.counters_mut(class).count_dropped(DropReason::Refused, 1);
        self.has_unsaved_drops = true;
    }

    /// Refuses a record that is too large.
    fn check_record(&self, len: usize) -> Result<(), SpoolError> {
        let (permitted, accepted) = (self.budget_record_bytes, self.receiver_record_bytes);
        if len <= permitted.min(accepted) {
            Ok(())
        } else if accepted <= permitted {
            Err(SpoolError::TooLargeForReceiver { len, most: accepted })
        } else {
            Err(SpoolError::TooLarge { len, most: permitted })
        }
    }

    fn poison(&mut self, operation: &'static str, source: io::Error) -> SpoolError {
        self.is_poisoned = true;
        SpoolError::disk_error(operation, self.folder.storage().folder())(source)
    }

    fn commit_class(&mut self, class: Class) -> Result<(), SpoolError> {
        let committed = self.logs[class.index()].commit(&self.folder, self.now_s);
        committed.map_err(|error| self.poison("write its records", error))
    }

    /// Returns the state with the records that are on disk now.
    fn current_state(&self) -> State {
        State { committed: self.logs.each_ref().map(ClassLog::committed), ..self.state }
    }

    /// Writes the cursors and counters to disk.
    fn save_state(&mut self) -> Result<(), SpoolError> {
        let state = self.current_state();
        self.write_state(&state)
    }

    /// Writes a changed state to disk, which is the current one from then on.
    fn write_state(&mut self, state: &State) -> Result<(), SpoolError> {
        let state = State { generation: state.generation + 1, ..*state };
        self.state_file.write(&self.folder, &state).map_err(|error| self.poison("write its state", error))?;
        (self.state, self.saved_state) = (state, state);
        self.has_unsaved_drops = false;
        Ok(())
    }
}
