use std::{io, ops::RangeInclusive};

use crate::{
    Class, Counters, Reason, SpoolError, Storage,
    aside::Aside,
    lane::{Lane, Segment, Settled},
    received::Received,
    recovery::{self, Left},
    segment,
    state::{self, State, StateFile},
};

/// Options for opening a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Upper bound on the bytes of all files together.
    pub budget: u64,
    /// Bytes of the largest record that the receiver accepts. A larger record could never leave the spool and
    /// is refused.
    pub largest: usize,
    /// The random identifier of the records that this process writes. A new one is drawn each time the spool
    /// is opened, so that no other process of this device, or of a device that replaces it, uses the same
    /// one.
    pub epoch: u64,
}

impl Options {
    /// Creates options that accept every record that a block can hold.
    #[must_use]
    pub fn new(budget: u64, epoch: u64) -> Self {
        Self { budget, largest: LARGEST, epoch }
    }
}

/// Bytes of the largest record that a block can hold.
const LARGEST: usize = 1 << 30;
/// Bytes up to which records are gathered into one block before it is written. A larger record gets a block
/// of its own.
const BLOCK: u64 = 256 << 10;
/// Minimum number of segments of the regular size that the budget has space for.
const SEGMENTS: u64 = 16;
/// Minimum and maximum of the regular size of a segment, in bytes.
const SEGMENT: [u64; 2] = [16 << 10, 4 << 20];
/// Segment sizes are multiples of this many bytes.
const PAGE: u64 = 4096;
/// Number of records by which the state on disk runs ahead of the last record sent, so that it is not written
/// for every record.
const AHEAD: u64 = 4096;

/// The result of [`Spool::append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The record has this number, and the next commit writes it to disk.
    Number(u64),
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
    storage: S,
    budget: u64,
    largest: usize,
    segment: u64,
    state: State,
    file: StateFile<S::File>,
    /// The state as it is on disk.
    saved: State,
    /// Whether counters changed that the next commit must write to disk.
    changed: bool,
    lanes: [Lane<S::File>; Class::ALL.len()],
    aside: Aside,
    /// Whether segments were removed since the last sync of the folder; a crash could bring them back.
    removed: bool,
    poisoned: bool,
}

impl<S: Storage> Spool<S> {
    /// Opens the spool in a folder, in whatever state a crash may have left it, or creates a new one.
    ///
    /// # Errors
    /// Returns [`SpoolError::Budget`] or [`SpoolError::Disk`].
    pub fn open(storage: S, options: Options) -> Result<Self, SpoolError> {
        Self::open_showing(storage, options, &mut |_| {})
    }

    /// Opens the spool like [`open`](Self::open), and passes the records that were committed last to `show`:
    /// at least those of the last segment of each class, whether or not they are done. A producer that did
    /// not learn whether its records are on disk can look for them there.
    ///
    /// # Errors
    /// Returns the same errors as [`open`](Self::open).
    pub fn open_showing(
        storage: S,
        options: Options,
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<Self, SpoolError> {
        let least = SEGMENTS * SEGMENT[0] + state::LEN;
        if options.budget < least {
            return Err(SpoolError::Budget { budget: options.budget, least });
        }
        let share = (options.budget - state::LEN) / SEGMENTS;
        let segment = (share - share % PAGE).clamp(SEGMENT[0], SEGMENT[1]);
        let failed = SpoolError::disk;
        let names = storage.names().map_err(failed("list its files"))?;
        let (mut file, found) = StateFile::open(&storage, &names).map_err(failed("open its state"))?;
        recovery::show_newest(&storage, &names, show).map_err(failed("scan its newest records"))?;
        let name = (options.epoch as u32).max(1);
        let left = Left::of(&storage, &names, found, name).map_err(failed("scan its segments"))?;
        let state = left.state;
        let aside = Aside::open(&storage, &names, options.budget)
            .map_err(failed("list the damaged data that it has kept"))?;
        if let Some(found) = found {
            // After a failed sync the state may be only in the system's cache. Writing the same bytes at the
            // same place again is safe: whatever a crash makes of this write, the state remains intact.
            file.write(found).map_err(failed("write its state"))?;
        }
        // The state on disk counts the torn ends before they are cut off, so that a crash in between cannot
        // hide them.
        file.write(state).map_err(failed("write its state"))?;
        left.tidy(&storage).map_err(failed("clean up its segments"))?;
        let lanes = left.classes.map(|class| {
            let known = state.classes[class.class.index()];
            Lane::new(class, options.epoch, known)
        });
        let Options { budget, largest, .. } = options;
        let mut spool = Self {
            storage,
            budget,
            largest,
            segment,
            state,
            file,
            saved: state,
            changed: false,
            lanes,
            aside,
            removed: true,
            poisoned: false,
        };
        spool.make_room(None, 0)?;
        Ok(spool)
    }

    /// Appends a record. It is durable once [`commit`](Self::commit) has returned.
    ///
    /// # Errors
    /// Returns [`SpoolError::TooLarge`], and counts the record as refused; or [`SpoolError::Disk`] or
    /// [`SpoolError::Poisoned`], after which the spool must be opened again.
    pub fn append(&mut self, class: Class, record: &[u8]) -> Result<Appended, SpoolError> {
        self.check()?;
        let most = self.largest_record();
        if record.len() > most {
            self.counters(class).drop(Reason::Refused, 1);
            self.changed = true;
            return Err(SpoolError::TooLarge { len: record.len(), most });
        }
        if self.lane(class).is_waiting() {
            let with = self.lane(class).len_with(record.len());
            if with > BLOCK || !self.lane(class).fits(with) {
                self.commit_class(class)?;
            }
        }
        let block = self.lane(class).len_with(record.len());
        if !self.lane(class).fits(block) && !self.rotate(class, block)? {
            self.counters(class).drop(Reason::Refused, 1);
            self.changed = true;
            return Ok(Appended::Refused);
        }
        Ok(Appended::Number(self.lane(class).push(record)))
    }

    /// Writes all appended records and the counts of dropped records to disk. Acknowledgements may follow
    /// later with [`checkpoint`](Self::checkpoint): after a crash, the receiver reports again which records
    /// it has.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`]. The fate of everything that was appended
    /// since the last commit is then unknown, and the spool must be opened again.
    pub fn commit(&mut self) -> Result<(), SpoolError> {
        self.check()?;
        for class in Class::ALL {
            self.commit_class(class)?;
        }
        if self.changed { self.persist() } else { Ok(()) }
    }

    /// Writes the acknowledgements to disk.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn checkpoint(&mut self) -> Result<(), SpoolError> {
        self.check()?;
        if self.is_ahead() { self.persist() } else { Ok(()) }
    }

    /// Returns whether there are acknowledgements that are not yet on disk.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        let is_ahead = |class: Class| self.counted(class).done > self.saved.classes[class.index()].done;
        Class::ALL.into_iter().any(is_ahead)
    }

    /// Returns the highest record number of a class that is settled on disk. The spool no longer asks the
    /// receiver about this record or any record before it.
    #[must_use]
    pub fn settled(&self, class: Class) -> u64 {
        let saved = self.saved.classes[class.index()];
        saved.in_doubt().map_or(saved.done, |doubt| doubt.start() - 1)
    }

    /// Returns the next committed records of a class, one block at a time; an empty vector when all have been
    /// read.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn read(&mut self, class: Class) -> Result<Vec<Record>, SpoolError> {
        self.check()?;
        let room = self.budget.saturating_sub(self.bytes() - self.aside());
        let block = self.lanes[class.index()].read(&self.storage, &mut self.aside, room);
        let block = block.map_err(|error| self.fail("read its records", error))?;
        let Some(block) = block else {
            // Records that are missing at the end are done now: no later record exists whose acknowledgement
            // would cover them.
            self.done(class, self.state.classes[class.index()].done)?;
            return Ok(Vec::new());
        };
        let (first, epoch) = (block.header.first, block.header.epoch);
        let record = |(number, bytes)| Record { epoch, number, bytes };
        Ok((first..).zip(block.records).map(record).collect())
    }

    /// Declares that the records of a class up to `number`, which have been read, are about to be sent. If
    /// they are evicted after a [`rewind`](Self::rewind), they do not count as dropped. They are [in
    /// doubt](Counters::in_doubt) until [`resolve`](Self::resolve) reports which of them the receiver has.
    ///
    /// # Errors
    /// Returns [`SpoolError::InDoubt`] while records are in doubt; [`SpoolError::Disk`] or
    /// [`SpoolError::Poisoned`].
    pub fn sending(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        self.check()?;
        if self.counters(class).in_doubt().is_some() {
            return Err(SpoolError::InDoubt { class });
        }
        self.lane(class).sending(number);
        if number > self.counters(class).sent {
            self.counters(class).sent = number.saturating_add(AHEAD);
            self.persist()?;
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
    pub fn resolve(&mut self, class: Class, received: &[RangeInclusive<u64>]) -> Result<(), SpoolError> {
        self.check()?;
        let received = Received::new(received);
        let counters = self.counters(class);
        if let Some(doubt) = counters.in_doubt() {
            let delivered = received.count(&doubt);
            counters.delivered += delivered;
            counters.drop(Reason::Evicted, counters.doubtful() - delivered);
            counters.doubt = [0; 2];
            self.changed = true;
        }
        let done = self.counters(class).done;
        self.lane(class).rewind(done);
        self.lane(class).resolve(received, done);
        Ok(())
    }

    /// Acknowledges that all records of a class up to `number` have been delivered. Records that were not
    /// read are not acknowledged. The call does nothing while records are in doubt, because
    /// [`resolve`](Self::resolve) reports these records again.
    ///
    /// # Errors
    /// Returns [`SpoolError::Disk`] or [`SpoolError::Poisoned`].
    pub fn acknowledge(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        self.check()?;
        let number = number.min(self.lane(class).read_up_to());
        if number <= self.counters(class).done {
            return Ok(());
        }
        self.done(class, number)
    }

    /// Moves the reading position of a class back to the first record that is not done.
    pub fn rewind(&mut self, class: Class) {
        let done = self.counters(class).done;
        self.lane(class).rewind(done);
    }

    /// Returns the cursor and the counters of a class.
    #[must_use]
    pub fn counted(&self, class: Class) -> Counters {
        self.state.classes[class.index()]
    }

    /// Returns the number of committed records of a class that are not done.
    #[must_use]
    pub fn pending(&self, class: Class) -> u64 {
        self.lanes[class.index()].committed() - self.state.classes[class.index()].done
    }

    /// Returns the name of the spool, which distinguishes its numbers from those of an earlier spool at the
    /// same place. It stays the same for as long as the folder exists.
    #[must_use]
    pub fn name(&self) -> u32 {
        self.state.name
    }

    /// Returns the number of log ends that crashes had torn.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.state.torn
    }

    /// Returns the size of all files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        state::LEN + self.aside() + self.lanes.iter().map(Lane::bytes).sum::<u64>()
    }

    /// Returns the bytes of damage that are kept for inspection.
    #[must_use]
    pub fn aside(&self) -> u64 {
        self.aside.bytes()
    }

    /// Returns the size of the largest record that the spool accepts, in bytes.
    #[must_use]
    pub fn largest_record(&self) -> usize {
        // A header, a record length and padding together are smaller than a page.
        let most = ((self.budget - state::LEN) / 4).saturating_sub(PAGE);
        usize::try_from(most).unwrap_or(usize::MAX).min(self.largest).min(LARGEST)
    }

    fn lane(&mut self, class: Class) -> &mut Lane<S::File> {
        &mut self.lanes[class.index()]
    }

    fn counters(&mut self, class: Class) -> &mut Counters {
        &mut self.state.classes[class.index()]
    }

    fn check(&self) -> Result<(), SpoolError> {
        if self.poisoned { Err(SpoolError::Poisoned) } else { Ok(()) }
    }

    fn fail(&mut self, doing: &'static str, source: io::Error) -> SpoolError {
        self.poisoned = true;
        SpoolError::Disk { doing, source }
    }

    fn commit_class(&mut self, class: Class) -> Result<(), SpoolError> {
        let committed = self.lane(class).commit();
        committed.map_err(|error| self.fail("write its records", error))
    }

    /// Writes the cursors and counters to disk.
    fn persist(&mut self) -> Result<(), SpoolError> {
        let state = State { generation: self.state.generation + 1, ..self.state };
        self.file.write(state).map_err(|error| self.fail("write its state", error))?;
        (self.state, self.saved) = (state, state);
        self.changed = false;
        Ok(())
    }

    /// Seals the current segment of a class and begins a new one that can hold a block of `block` bytes.
    /// Returns `false` if there is not enough space.
    fn rotate(&mut self, class: Class, block: u64) -> Result<bool, SpoolError> {
        self.commit_class(class)?;
        let sealed = self.lane(class).seal();
        sealed.map_err(|error| self.fail("close a segment", error))?;
        self.remove_finished(class)?;
        let len = self.segment.max(block.next_multiple_of(PAGE));
        if !self.make_room(Some(class), len)? {
            return Ok(false);
        }
        if self.removed {
            // The space of the removed segments is free only after their removal is durable.
            self.storage.sync().map_err(|error| self.fail("remove a segment", error))?;
            self.removed = false;
        }
        let name = segment::name(class, self.lane(class).committed() + 1);
        match self.storage.create(&name, len) {
            Ok(file) => {
                self.storage.sync().map_err(|error| self.fail("make a new segment durable", error))?;
                self.lane(class).begin(file, len);
                Ok(true)
            }
            // Other programs have filled the disk. The spool's own data is not at risk.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let _ = self.storage.remove(&name);
                Ok(false)
            }
            Err(error) => Err(self.fail("create a segment", error)),
        }
    }

    /// Frees space for `bytes` more bytes of a class by evicting the oldest segments of less important
    /// classes, the least important first. `None` evicts from every class. Returns `false` if the space is
    /// still not enough.
    fn make_room(&mut self, class: Option<Class>, bytes: u64) -> Result<bool, SpoolError> {
        while self.bytes() + bytes > self.budget {
            let less = Class::ALL.into_iter().filter(|&other| class.is_none_or(|class| other < class));
            let victims = less.filter_map(|other| {
                let victim = self.lanes[other.index()].victim(self.state.classes[other.index()].done);
                victim.map(|(segment, last)| (other, segment, last))
            });
            let Some((other, segment, last)) = victims.into_iter().next() else { return Ok(false) };
            self.evict(other, segment, last)?;
        }
        Ok(true)
    }

    /// Evicts a segment, whose last record has the number `last`.
    fn evict(&mut self, class: Class, segment: Segment, last: u64) -> Result<(), SpoolError> {
        self.deliver_received(class, last);
        let sent = self.lane(class).sent();
        self.counters(class).evict(last, sent);
        self.lane(class).forget_oldest();
        self.persist()?;
        self.remove(class, segment)
    }

    /// Counts the records that directly follow the cursor, up to `last`, as delivered if the receiver has
    /// them.
    fn deliver_received(&mut self, class: Class, last: u64) {
        if self.counters(class).in_doubt().is_some() {
            return;
        }
        let done = self.counters(class).done;
        let received = self.lane(class).received_after(done).min(last);
        let counters = self.counters(class);
        counters.delivered += received.saturating_sub(done);
        counters.done = received.max(done);
    }

    /// Marks records up to `number` as done. They are delivered, or missing on disk and counted as damaged.
    fn done(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        // The records in doubt form one range, which may grow over these records: they would be counted
        // twice.
        if self.counters(class).in_doubt().is_some() {
            return Ok(());
        }
        let Settled { done, lost } = self.lane(class).settle(number);
        let counters = self.counters(class);
        if done == counters.done {
            return Ok(());
        }
        counters.delivered += done - counters.done - lost;
        counters.drop(Reason::Damaged, lost);
        counters.done = done;
        self.changed |= lost > 0;
        self.remove_finished(class)
    }

    /// Removes the oldest segments whose records are all done, after the state on disk covers them.
    fn remove_finished(&mut self, class: Class) -> Result<(), SpoolError> {
        let done = self.counters(class).done;
        while let Some(segment) = self.lane(class).finished(done) {
            if self.changed || self.is_ahead() {
                self.persist()?;
            }
            self.lane(class).forget_oldest();
            self.remove(class, segment)?;
        }
        Ok(())
    }

    fn remove(&mut self, class: Class, segment: Segment) -> Result<(), SpoolError> {
        self.removed = true;
        let removed = self.storage.remove(&segment::name(class, segment.first));
        removed.map_err(|error| self.fail("remove a segment", error))
    }
}
