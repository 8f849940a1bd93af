//! The oracle: it runs a schedule on a spool, and tracks which records the spool has to have or to explain.

use std::collections::BTreeMap;

use lopside_delivery::Class;
use proptest::test_runner::TestRng;

use super::{
    broken_promise::BrokenPromise,
    connection::Connection,
    expectations::Expectations,
    memory::{Faults, MemoryDisk},
    receiver::Receiver,
    steps::{Step, Stray},
};
use crate::{
    AppendOutcome, Counters, DeviceName, Options, Spool, SpoolError, State, block::BlockBuilder,
    options::FIXED_BYTES, segment, spool::SpaceFor,
};

/// The smallest budget that a spool accepts, in bytes.
pub(super) const BUDGET: u64 = 16 * (16 << 10) + FIXED_BYTES;
/// The first name that is given to a spool which has to take a new one. Others are small, as epochs are.
const FIRST_NEW_NAME: u32 = 1 << 16;

/// The time at the start of a schedule, in seconds.
const START_S: u32 = 1_000_000;
/// The number of records between the last one of the spool and a stray.
const FAR_AWAY: u64 = 1_000_000;

/// A spool, and its expected contents.
pub(super) struct Oracle {
    disk: MemoryDisk,
    spool: Option<Spool<MemoryDisk>>,
    epoch: u64,
    rng: TestRng,
    /// The budget and the limits of the spool.
    limits: Options,
    broken_promise: Option<BrokenPromise>,
    expected: Expectations,
    /// Records that are appended and not yet committed: class, epoch, number.
    uncommitted: Vec<(Class, u64, u64)>,
    read: BTreeMap<Class, Vec<(u64, u64)>>,
    receiver: Receiver,
    refused: [u64; 3],
    /// The class of a record that was refused although a less important one could have been evicted.
    unjustly_refused: Option<Class>,
    /// The state in the memory of the process, after a failure that it has survived.
    last_state: Option<State>,
    /// Classes whose open segment was removed, and of which the disk does not know it yet.
    unsettled_removals: [bool; 3],
    /// The last copy of the disk, and what was expected of it.
    copy: Option<(MemoryDisk, Expectations)>,
    /// Whether records must not be sent before the next connection.
    needs_connection: bool,
    /// The last name that the spool could have taken.
    last_name: u32,
}

impl Oracle {
    /// Creates an oracle with an empty disk that has these faults, and a spool with these limits.
    pub(super) fn new(faults: Faults, limits: &Options, rng: TestRng) -> Self {
        let disk = MemoryDisk::default();
        disk.set_faults(faults);
        let max_ages_s = limits.policies.map(|policy| policy.max_age.map(|age| age.as_secs() as u32));
        Self {
            disk,
            spool: None,
            epoch: 0,
            rng,
            limits: *limits,
            broken_promise: faults.broken_promise,
            expected: Expectations { now_s: START_S, max_ages_s, ..Expectations::default() },
            uncommitted: Vec::new(),
            read: BTreeMap::new(),
            receiver: Receiver::default(),
            refused: [0; 3],
            unjustly_refused: None,
            last_state: None,
            unsettled_removals: [false; 3],
            copy: None,
            needs_connection: false,
            last_name: FIRST_NEW_NAME,
        }
    }

    /// Returns the number of disk operations so far.
    pub(super) fn operations(&self) -> u64 {
        self.disk.operations()
    }

    /// Returns the counters of a class; zeros while the spool is closed.
    pub(super) fn counters(&self, class: Class) -> Counters {
        self.spool.as_ref().map(|spool| spool.class_counters(class)).unwrap_or_default()
    }

    /// Runs all steps, and checks the disk after every failure and at the end.
    pub(super) fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        for &step in steps {
            let result = self.ensure_open().and_then(|()| self.step(step));
            match result {
                Ok(()) => {}
                Err(SpoolError::Disk { .. } | SpoolError::Poisoned) => self.handle_failure()?,
                Err(error) => return Err(error.to_string()),
            }
            if let Some(class) = self.unjustly_refused {
                return Err(format!("a record of {class} was refused instead of evicting another one"));
            }
        }
        self.check_disk()
    }

    /// Flips bits on the disk.
    pub(super) fn flip(&mut self, bits: usize) {
        self.close();
        self.expected.has_flipped_bits = true;
        self.disk.flip(bits, &mut self.rng);
    }

    /// Ends the process, and forgets everything that was not committed.
    fn close(&mut self) {
        (self.spool, self.last_state) = (None, None);
        self.uncommitted.clear();
        self.refused = self.expected.refused;
    }

    fn ensure_open(&mut self) -> Result<(), SpoolError> {
        if self.spool.is_none() {
            self.epoch += 1;
            self.read.clear();
            let opened = Spool::open(self.disk.clone(), self.options(self.epoch))?;
            let spool = self.spool.insert(opened);
            spool.set_time(Some(self.expected.now_s));
            // The state on disk contains now what the process knew.
            (self.last_state, self.unsettled_removals) = (None, [false; 3]);
            // A receiver that has lost records finds out before it gets others.
            self.needs_connection =
                self.expected.is_set_back || self.expected.has_lossy_receiver.contains(&true);
            if !self.expected.removed.is_empty() {
                // Records of a removed segment that the receiver has do not count as damaged.
                return self.connect();
            }
        }
        Ok(())
    }

    fn options(&self, epoch: u64) -> Options {
        Options {
            epoch,
            last_state: self.last_state,
            device: DeviceName::parse(&format!("device-{}", self.expected.device)),
            ..self.limits
        }
    }

    fn step(&mut self, step: Step) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        match step {
            Step::Append(class, len) => return self.append(class, len),
            Step::Commit => {
                spool.commit()?;
                self.expected.committed.extend(self.uncommitted.drain(..));
                self.expected.refused = self.refused;
            }
            Step::Checkpoint => spool.checkpoint()?,
            Step::Read(class, arrivals) => return self.read(class, arrivals),
            Step::Connect => return self.connect(),
            Step::Acknowledge(class, held_back) => return self.acknowledge(class, held_back),
            Step::Rewind(class) => {
                spool.rewind(class);
                self.read.remove(&class);
            }
            Step::Reopen => self.close(),
            Step::OpenAgain(class) => return self.open_again(class),
            Step::RemoveOpenSegment(class) => return self.remove_open_segment(class),
            Step::AddStray(class, stray) => self.add_stray(class, stray),
            Step::PassTime(seconds) => {
                self.expected.now_s += seconds;
                spool.set_time(Some(self.expected.now_s));
            }
            Step::Expire => {
                spool.expire()?;
            }
            Step::RenameDevice => {
                self.close();
                self.expected.rename_device(&self.receiver);
            }
            Step::SetReceiverBack(class, count) => {
                self.receiver.lose_last(class, count);
                self.expected.has_lossy_receiver[class.index()] = true;
                return self.connect();
            }
            Step::CopyDisk => {
                self.close();
                self.copy = Some((self.disk.durable_copy(), self.expected.clone()));
            }
            Step::SetDiskBack => self.set_disk_back(),
        }
        Ok(())
    }

    fn append(&mut self, class: Class, len: usize) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        let count = self.expected.appended.len() as u64;
        let bytes: Vec<u8> =
            (0..len).map(|index| (count * 31 + index as u64 * 7 + self.epoch) as u8).collect();
        match spool.append(class, &bytes)? {
            AppendOutcome::Accepted(number) => {
                self.expected.note_appended((class, self.epoch, number), bytes);
                self.uncommitted.push((class, self.epoch, number));
            }
            AppendOutcome::Refused => {
                self.refused[class.index()] += 1;
                self.unjustly_refused = spool.find_victim(SpaceFor::Record(class)).map(|_| class);
            }
        }
        Ok(())
    }

    fn read(&mut self, class: Class, arrivals: usize) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        if self.needs_connection || spool.class_counters(class).in_doubt().is_some() {
            return self.connect();
        }
        let records = spool.read(class)?;
        let Some(last) = records.last() else { return Ok(()) };
        spool.mark_sending(class, last.number)?;
        let read = self.read.entry(class).or_default();
        // Records arrive in order: all that follow a lost record are lost.
        let sender = self.expected.sender(spool);
        let has_loss =
            read.iter().any(|&(epoch, number)| !self.receiver.has_from(sender, class, epoch, number));
        let arrivals = if has_loss { 0 } else { arrivals };
        read.extend(records.iter().map(|record| (record.epoch, record.number)));
        for record in records.iter().take(arrivals) {
            self.receiver.receive(sender, class, record.epoch, record.number);
        }
        Ok(())
    }

    fn acknowledge(&mut self, class: Class, held_back: u64) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        let read = self.read.entry(class).or_default();
        // What arrived under an earlier name of the spool or of the device is not acknowledged under this one.
        let sender = self.expected.sender(spool);
        let has_arrived =
            |&&(epoch, number): &&(u64, u64)| self.receiver.has_from(sender, class, epoch, number);
        let acknowledged = read.iter().take_while(has_arrived).count().saturating_sub(held_back as usize);
        match read.drain(..acknowledged).next_back() {
            Some((_, number)) => spool.acknowledge(class, number),
            None => Ok(()),
        }
    }

    /// Opens the spool while it is open, as a second process does. If it succeeds, then the second process
    /// stores a record.
    fn open_again(&mut self, class: Class) -> Result<(), SpoolError> {
        let epoch = (1_u64 << 32) + self.expected.appended.len() as u64;
        let mut second = match Spool::open(self.disk.clone(), Options::new(BUDGET, epoch)) {
            Err(SpoolError::InUse { .. }) => return Ok(()),
            result => result?,
        };
        let bytes = vec![2; 40];
        if let AppendOutcome::Accepted(number) = second.append(class, &bytes)? {
            self.expected.note_appended((class, epoch, number), bytes);
            second.commit()?;
            self.expected.committed.insert((class, epoch, number));
        }
        Ok(())
    }

    /// Removes the open segment of a class as another program does, and commits another record. That must
    /// fail: if it does not, then the record is missing later.
    fn remove_open_segment(&mut self, class: Class) -> Result<(), SpoolError> {
        let count = self.uncommitted.len();
        self.step(Step::Append(class, 40))?;
        if self.uncommitted.len() == count {
            // The spool is full, so that the class may not have an open segment.
            return Ok(());
        }
        self.step(Step::Commit)?;
        let Some(first) = self.disk.remove_last_segment(class) else { return Ok(()) };
        let Expectations { committed, removed, .. } = &mut self.expected;
        removed.extend(committed.iter().filter(|record| record.0 == class && record.2 >= first));
        self.unsettled_removals[class.index()] = true;
        self.step(Step::Append(class, 40))?;
        self.step(Step::Commit)
    }

    /// Closes the spool, and adds a file as another program does.
    fn add_stray(&mut self, class: Class, stray: Stray) {
        self.close();
        let numbers = self.expected.appended.keys().filter(|record| record.0 == class).map(|record| record.2);
        let far_away = numbers.max().unwrap_or(0) + FAR_AWAY;
        let (first, bytes) = match stray {
            Stray::Overlapping => match self.disk.last_segment(class) {
                Some(last) => (last + 1, vec![0; 4096]),
                None => return,
            },
            Stray::FarAway => (far_away, vec![0; 4096]),
            Stray::Block => (far_away, foreign_block(far_away)),
            Stray::Misnamed => (far_away, foreign_block(1)),
        };
        self.disk.add_foreign_file(&segment::name(class, first), &bytes);
    }

    /// Sets the disk back to the last copy, as a restored image does, unless there is no copy.
    fn set_disk_back(&mut self) {
        let Some((disk, expected)) = self.copy.clone() else { return };
        self.close();
        self.disk.set_back(&disk);
        // What the receiver has lost does not come back.
        let Expectations { has_lossy_receiver, now_s, .. } = self.expected;
        self.expected = Expectations { is_set_back: true, has_lossy_receiver, now_s, ..expected };
        self.refused = self.expected.refused;
    }

    /// Opens a new connection: the receiver reports to the spool which records it has.
    fn connect(&mut self) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        self.read.clear();
        self.last_name += 1;
        let connection = Connection { new_name: self.last_name, broken_promise: self.broken_promise };
        connection.open(spool, &mut self.receiver, &mut self.expected)?;
        self.needs_connection = false;
        Ok(())
    }

    /// Handles a power failure or another failure of the disk, and checks the disk.
    fn handle_failure(&mut self) -> Result<(), String> {
        let last_state = self.spool.as_mut().map(Spool::close).or(self.last_state);
        self.close();
        if self.disk.has_crashed() {
            self.disk = self.disk.after_crash(&mut self.rng);
            for (forgotten, unsettled) in
                self.expected.forgotten_removals.iter_mut().zip(self.unsettled_removals)
            {
                *forgotten |= unsettled;
            }
        } else {
            self.last_state = last_state;
        }
        self.check_disk()
    }

    /// Opens a copy of the disk and compares it with the expected contents.
    fn check_disk(&mut self) -> Result<(), String> {
        let peak = self.disk.peak();
        if peak > BUDGET {
            return Err(format!("{peak} bytes exceed the budget; the files are {:?}", self.disk.own_files()));
        }
        let options = self.options(self.epoch + 1);
        let mut spool = Spool::open(self.disk.durable_copy(), options).map_err(|error| error.to_string())?;
        let (mut receiver, mut expected) = (self.receiver.clone(), self.expected.clone());
        let connection = Connection { new_name: self.last_name + 1, broken_promise: self.broken_promise };
        connection.open(&mut spool, &mut receiver, &mut expected).map_err(|error| error.to_string())?;
        Class::ALL.into_iter().try_for_each(|class| expected.check(class, &mut spool, &receiver))
    }
}

/// Returns a block of another spool that begins with this record.
fn foreign_block(first: u64) -> Vec<u8> {
    let mut block = BlockBuilder::new(first, 77);
    block.push(b"foreign");
    block.finish(0)
}
