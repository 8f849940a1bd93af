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

/// What a spool may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of all files together, never exceeded.
    pub budget: u64,
    /// Bytes of the largest record that the receiver takes: one that is larger would stay for ever, and is refused.
    pub largest: usize,
    /// What no other process's records are called by, of this device or of another that takes its place: drawn at
    /// random for each time that the spool is opened.
    pub epoch: u64,
}

impl Options {
    /// With records of any size.
    #[must_use]
    pub fn new(budget: u64, epoch: u64) -> Self {
        Self { budget, largest: LARGEST, epoch }
    }
}

/// The largest record of all, in bytes: what a block can say.
const LARGEST: usize = 1 << 30;
/// The largest block that gathers before it is written, in bytes.
const BLOCK: u64 = 256 << 10;
/// Segments that the budget is for, at least.
const SEGMENTS: u64 = 16;
/// The smallest and the largest segment, in bytes.
const SEGMENT: [u64; 2] = [16 << 10, 4 << 20];
/// What segments are multiples of.
const PAGE: u64 = 4096;
/// How many records ahead the disk is told that they may be sent, so that it is not told of each.
const AHEAD: u64 = 4096;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It will be on the disk with the next commit, under this number.
    Number(u64),
    /// There was no room for it.
    Refused,
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The epoch of the process that wrote it.
    pub epoch: u64,
    /// Its number in its class, from 1 on.
    pub number: u64,
    /// What was given.
    pub bytes: Vec<u8>,
}

/// The spool: see the [crate's page](crate).
#[derive(Debug)]
pub struct Spool<S: Storage> {
    storage: S,
    budget: u64,
    largest: usize,
    segment: u64,
    state: State,
    file: StateFile<S::File>,
    /// The state as the disk has it.
    saved: State,
    /// Whether counters have changed that the disk has to know.
    changed: bool,
    lanes: [Lane<S::File>; Class::ALL.len()],
    aside: Aside,
    /// Whether segments were removed that a crash could bring back.
    removed: bool,
    poisoned: bool,
}

impl<S: Storage> Spool<S> {
    /// Opens the spool in a folder, as a crash may have left it, or makes one.
    ///
    /// # Errors
    /// [`SpoolError::Budget`], or [`SpoolError::Disk`].
    pub fn open(storage: S, options: Options) -> Result<Self, SpoolError> {
        Self::open_showing(storage, options, &mut |_| {})
    }

    /// As [`open`](Self::open), and shows the records that were committed last, at least those of the last segment of each
    /// class, whether or not they are done: so that whoever was not told that they are on the disk can look for them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
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
        recovery::show_newest(&storage, &names, show).map_err(failed("look at its newest records"))?;
        let name = (options.epoch as u32).max(1);
        let left = Left::of(&storage, &names, found, name).map_err(failed("look at its segments"))?;
        let state = left.state;
        let aside =
            Aside::open(&storage, &names, options.budget).map_err(failed("look at what was set aside"))?;
        if let Some(found) = found {
            // It may be in the system's cache alone, after a sync that failed. The same bytes at the same place: whatever
            // a crash makes of that, they are there.
            file.write(found).map_err(failed("write its state"))?;
        }
        // What is cut off and removed is told first: a crash in between must not make it unseen.
        file.write(state).map_err(failed("write its state"))?;
        left.tidy(&storage).map_err(failed("tidy its segments"))?;
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

    /// Takes a record. It is safe once [`commit`](Self::commit) has returned.
    ///
    /// # Errors
    /// [`SpoolError::TooLarge`], which counts as refused; [`SpoolError::Disk`] and [`SpoolError::Poisoned`], after which the spool is to be
    /// opened again.
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

    /// Brings all records to the disk, and the counts of those that were dropped. What was acknowledged may be told by
    /// [`checkpoint`](Self::checkpoint) later: after a crash the receiver says once more that it has it.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] and [`SpoolError::Poisoned`]: nothing is known of what was appended since the last time;
    /// the spool is to be opened again.
    pub fn commit(&mut self) -> Result<(), SpoolError> {
        self.check()?;
        for class in Class::ALL {
            self.commit_class(class)?;
        }
        if self.changed { self.persist() } else { Ok(()) }
    }

    /// Brings what was acknowledged to the disk.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] and [`SpoolError::Poisoned`].
    pub fn checkpoint(&mut self) -> Result<(), SpoolError> {
        self.check()?;
        if self.is_ahead() { self.persist() } else { Ok(()) }
    }

    /// Whether the disk does not know of all that was acknowledged.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        let is_ahead = |class: Class| self.counted(class).done > self.saved.classes[class.index()].done;
        Class::ALL.into_iter().any(is_ahead)
    }

    /// The last record of a class so that nobody asks for it or those before it any more, by what the disk knows.
    #[must_use]
    pub fn settled(&self, class: Class) -> u64 {
        let saved = self.saved.classes[class.index()];
        saved.in_doubt().map_or(saved.done, |doubt| doubt.start() - 1)
    }

    /// The next committed records of a class, some at a time; none when all have been read.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] and [`SpoolError::Poisoned`].
    pub fn read(&mut self, class: Class) -> Result<Vec<Record>, SpoolError> {
        self.check()?;
        let room = self.budget.saturating_sub(self.bytes() - self.aside());
        let block = self.lanes[class.index()].read(&self.storage, &mut self.aside, room);
        let block = block.map_err(|error| self.fail("read its records", error))?;
        let Some(block) = block else {
            // What is missing at the end is not followed by anything that could be acknowledged.
            self.done(class, self.state.classes[class.index()].done)?;
            return Ok(Vec::new());
        };
        let (first, epoch) = (block.header.first, block.header.epoch);
        let record = |(number, bytes)| Record { epoch, number, bytes };
        Ok((first..).zip(block.records).map(record).collect())
    }

    /// Records of a class up to this one, which have been read, are about to be sent. From then on they are not counted
    /// as dropped when they have to make room for others after a [`rewind`](Self::rewind): they are
    /// [in doubt](Counters::in_doubt) until [`resolve`](Self::resolve) says what the receiver has.
    ///
    /// # Errors
    /// [`SpoolError::InDoubt`] while records are in doubt; [`SpoolError::Disk`] and [`SpoolError::Poisoned`].
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

    /// The receiver has these numbers of a class, of those in doubt and of those that are not done, and takes nothing any
    /// more that came to it on an earlier way. It is said before the first record is sent on a new way; what the receiver
    /// has is not read again.
    ///
    /// # Errors
    /// [`SpoolError::Poisoned`].
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

    /// All records of a class up to this one have been delivered. Records that were not read are not acknowledged; nor is
    /// anything while records are in doubt, because [`resolve`](Self::resolve) will tell of it once more.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] and [`SpoolError::Poisoned`].
    pub fn acknowledge(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        self.check()?;
        let number = number.min(self.lane(class).read_up_to());
        if number <= self.counters(class).done {
            return Ok(());
        }
        self.done(class, number)
    }

    /// Reads a class again from the first record that is not done.
    pub fn rewind(&mut self, class: Class) {
        let done = self.counters(class).done;
        self.lane(class).rewind(done);
    }

    /// What has become of the records of a class.
    #[must_use]
    pub fn counted(&self, class: Class) -> Counters {
        self.state.classes[class.index()]
    }

    /// Records of a class that are committed and not done.
    #[must_use]
    pub fn pending(&self, class: Class) -> u64 {
        self.lanes[class.index()].committed() - self.state.classes[class.index()].done
    }

    /// What tells its numbers from those of a spool that had its place before: it stays for as long as the folder does.
    #[must_use]
    pub fn name(&self) -> u32 {
        self.state.name
    }

    /// Ends of logs that crashes had torn.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.state.torn
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        state::LEN + self.aside() + self.lanes.iter().map(Lane::bytes).sum::<u64>()
    }

    /// Bytes of damage that are kept for a look.
    #[must_use]
    pub fn aside(&self) -> u64 {
        self.aside.bytes()
    }

    /// The largest record that it takes, in bytes.
    #[must_use]
    pub fn largest_record(&self) -> usize {
        // A header, a length and padding are less than a page.
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

    /// Writes cursors and counters.
    fn persist(&mut self) -> Result<(), SpoolError> {
        let state = State { generation: self.state.generation + 1, ..self.state };
        self.file.write(state).map_err(|error| self.fail("write its state", error))?;
        (self.state, self.saved) = (state, state);
        self.changed = false;
        Ok(())
    }

    /// Ends a class's segment and begins another that holds a block of so many bytes. False when there is no room.
    fn rotate(&mut self, class: Class, block: u64) -> Result<bool, SpoolError> {
        self.commit_class(class)?;
        let sealed = self.lane(class).seal();
        sealed.map_err(|error| self.fail("end a segment", error))?;
        self.remove_finished(class)?;
        let len = self.segment.max(block.next_multiple_of(PAGE));
        if !self.make_room(Some(class), len)? {
            return Ok(false);
        }
        if self.removed {
            // Their bytes are free once they cannot come back.
            self.storage.sync().map_err(|error| self.fail("remove a segment", error))?;
            self.removed = false;
        }
        let name = segment::name(class, self.lane(class).committed() + 1);
        match self.storage.create(&name, len) {
            Ok(file) => {
                self.storage.sync().map_err(|error| self.fail("name a segment", error))?;
                self.lane(class).begin(file, len);
                Ok(true)
            }
            // Others have filled the disk: nothing of ours is at risk.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let _ = self.storage.remove(&name);
                Ok(false)
            }
            Err(error) => Err(self.fail("make a segment", error)),
        }
    }

    /// Makes room for so many bytes of a class, or of nobody in particular: the oldest segments of less important
    /// classes go, the least important first. False when that is not enough.
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

    /// Gives up a segment.
    fn evict(&mut self, class: Class, segment: Segment, last: u64) -> Result<(), SpoolError> {
        self.deliver_received(class, last);
        let sent = self.lane(class).sent();
        self.counters(class).evict(last, sent);
        self.lane(class).forget_oldest();
        self.persist()?;
        self.remove(class, segment)
    }

    /// Of the records up to this one, those that come next and that the receiver has are delivered.
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

    /// Records up to this one are delivered, or were not there.
    fn done(&mut self, class: Class, number: u64) -> Result<(), SpoolError> {
        // What is in doubt is one range, which may grow over these records: they would be counted twice.
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

    /// Removes the segments whose records are all done, once the disk knows that they are.
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
