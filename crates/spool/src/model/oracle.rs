//! The oracle: every committed record must be present as it was appended, or a count must explain why it is
//! missing.

use std::{
    array,
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use lopside_delivery::Class;
use proptest::{prelude::*, test_runner::TestRng};

use super::memory::{Faults, MemoryDisk};
use crate::{AppendOutcome, DropReason, Options, Record, Spool, SpoolError, State, options::FIXED_BYTES};

/// One operation on a spool.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Append(Class, usize),
    Commit,
    Checkpoint,
    /// Reads some records and sends them; at most this many arrive.
    Read(Class, usize),
    /// Asks the receiver which records it has, as after every new connection.
    Resolve(Class),
    /// Acknowledges all records that were read and have arrived, except for the last ones: this many.
    Acknowledge(Class, u64),
    Rewind(Class),
    /// Closes the spool, as in an orderly stop. The next step opens it again.
    Reopen,
    /// Another process opens the spool while it is open, and would store a record of this class.
    OpenAgain(Class),
    /// Another program removes the open segment of this class, and the next record is appended and committed.
    RemoveOpenSegment(Class),
}

/// The smallest budget that a spool accepts, in bytes.
pub(super) const BUDGET: u64 = 16 * (16 << 10) + FIXED_BYTES;

/// A spool, and its expected contents.
pub(super) struct Oracle {
    disk: MemoryDisk,
    spool: Option<Spool<MemoryDisk>>,
    epoch: u64,
    rng: TestRng,
    appended: BTreeMap<(Class, u64, u64), Vec<u8>>,
    /// Records that are appended and not yet committed: class, epoch, number.
    uncommitted: Vec<(Class, u64, u64)>,
    committed: BTreeSet<(Class, u64, u64)>,
    /// Records whose delivery was acknowledged to the spool.
    delivered: BTreeSet<(Class, u64, u64)>,
    read: BTreeMap<Class, Vec<(u64, u64)>>,
    /// Numbers that the receiver has.
    received: BTreeSet<(Class, u64)>,
    refused: [u64; 3],
    refused_durably: [u64; 3],
    /// The state in the memory of the process, after a failure that it has survived.
    last_state: Option<State>,
    /// Committed records whose segment was removed by another program.
    removed: BTreeSet<(Class, u64, u64)>,
    /// Classes whose open segment was removed, and of which the disk does not know it yet.
    unsettled_removals: [bool; 3],
    /// Classes of which a crash has made the process and the disk forget a removal: nothing can tell which of
    /// their records are missing.
    forgotten_removals: [bool; 3],
    /// Whether bits were flipped.
    has_flipped_bits: bool,
}

pub(super) fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Low), Just(Class::Normal), Just(Class::High)]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0..200_usize, 3 => 200..4000_usize, 1 => 4000..30_000_usize];
    prop_oneof![
        32 => (any_class(), len).prop_map(|(class, len)| Step::Append(class, len)),
        16 => Just(Step::Commit),
        4 => Just(Step::Checkpoint),
        12 => (any_class(), prop_oneof![Just(0), Just(1), Just(usize::MAX)]).prop_map(|(class, arrivals)| Step::Read(class, arrivals)),
        4 => any_class().prop_map(Step::Resolve),
        12 => (any_class(), 0..3_u64).prop_map(|(class, held_back)| Step::Acknowledge(class, held_back)),
        4 => any_class().prop_map(Step::Rewind),
        4 => Just(Step::Reopen),
        2 => any_class().prop_map(Step::OpenAgain),
        // Rare, because it empties the spool.
        1 => any_class().prop_map(Step::RemoveOpenSegment),
    ]
}

impl Oracle {
    /// Creates an oracle with an empty disk that has these faults.
    pub(super) fn new(faults: Faults, rng: TestRng) -> Self {
        let disk = MemoryDisk::default();
        disk.set_faults(faults);
        Self {
            disk,
            spool: None,
            epoch: 0,
            rng,
            appended: BTreeMap::new(),
            uncommitted: Vec::new(),
            committed: BTreeSet::new(),
            delivered: BTreeSet::new(),
            read: BTreeMap::new(),
            received: BTreeSet::new(),
            refused: [0; 3],
            refused_durably: [0; 3],
            last_state: None,
            removed: BTreeSet::new(),
            unsettled_removals: [false; 3],
            forgotten_removals: [false; 3],
            has_flipped_bits: false,
        }
    }

    /// Returns the number of disk operations so far.
    pub(super) fn operations(&self) -> u64 {
        self.disk.operations()
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
        }
        self.check_disk()
    }

    /// Flips bits on the disk.
    pub(super) fn flip(&mut self, bits: usize) {
        self.close();
        self.has_flipped_bits = true;
        self.disk.flip(bits, &mut self.rng);
    }

    /// Ends the process, and forgets everything that was not committed.
    fn close(&mut self) {
        (self.spool, self.last_state) = (None, None);
        self.uncommitted.clear();
        self.refused = self.refused_durably;
    }

    fn ensure_open(&mut self) -> Result<(), SpoolError> {
        if self.spool.is_none() {
            self.epoch += 1;
            self.read.clear();
            self.spool = Some(Spool::open(self.disk.clone(), self.options(self.epoch))?);
            // The state on disk contains now what the process knew.
            (self.last_state, self.unsettled_removals) = (None, [false; 3]);
            if !self.removed.is_empty() {
                // Records of a removed segment that the receiver has do not count as damaged.
                return Class::ALL.into_iter().try_for_each(|class| self.resolve_class(class));
            }
        }
        Ok(())
    }

    fn options(&self, epoch: u64) -> Options {
        Options { last_state: self.last_state, ..Options::new(BUDGET, epoch) }
    }

    fn step(&mut self, step: Step) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        match step {
            Step::Append(class, len) => {
                let count = self.appended.len() as u64;
                let bytes: Vec<u8> =
                    (0..len).map(|index| (count * 31 + index as u64 * 7 + self.epoch) as u8).collect();
                match spool.append(class, &bytes)? {
                    AppendOutcome::Accepted(number) => {
                        self.appended.insert((class, self.epoch, number), bytes);
                        self.uncommitted.push((class, self.epoch, number));
                    }
                    AppendOutcome::Refused => self.refused[class as usize] += 1,
                }
            }
            Step::Commit => {
                spool.commit()?;
                self.committed.extend(self.uncommitted.drain(..));
                self.refused_durably = self.refused;
            }
            Step::Checkpoint => spool.checkpoint()?,
            Step::Read(class, arrivals) => {
                if spool.class_counters(class).in_doubt().is_some() {
                    return self.resolve_class(class);
                }
                let records = spool.read(class)?;
                let Some(last) = records.last() else { return Ok(()) };
                spool.mark_sending(class, last.number)?;
                let read = self.read.entry(class).or_default();
                // Records arrive in order: all that follow a lost record are lost.
                let has_loss = read.iter().any(|&(_, number)| !self.received.contains(&(class, number)));
                let arrivals = if has_loss { 0 } else { arrivals };
                read.extend(records.iter().map(|record| (record.epoch, record.number)));
                self.received.extend(records.iter().take(arrivals).map(|record| (class, record.number)));
            }
            Step::Resolve(class) => return self.resolve_class(class),
            Step::Acknowledge(class, held_back) => {
                let read = self.read.entry(class).or_default();
                let arrived = read.iter().take_while(|(_, number)| self.received.contains(&(class, *number)));
                let acknowledged = arrived.count().saturating_sub(held_back as usize);
                let Some(&(_, number)) = acknowledged.checked_sub(1).and_then(|last| read.get(last)) else {
                    return Ok(());
                };
                // Added before the call: an acknowledgement may be kept even if the call fails.
                self.delivered
                    .extend(read.drain(..acknowledged).map(|(epoch, number)| (class, epoch, number)));
                spool.acknowledge(class, number)?;
            }
            Step::Rewind(class) => {
                spool.rewind(class);
                self.read.remove(&class);
            }
            Step::Reopen => self.close(),
            Step::OpenAgain(class) => return self.open_again(class),
            Step::RemoveOpenSegment(class) => return self.remove_open_segment(class),
        }
        Ok(())
    }

    /// Opens the spool while it is open, as a second process does. If it succeeds, then the second process
    /// stores a record.
    fn open_again(&mut self, class: Class) -> Result<(), SpoolError> {
        let epoch = (1_u64 << 32) + self.appended.len() as u64;
        let mut second = match Spool::open(self.disk.clone(), Options::new(BUDGET, epoch)) {
            Err(SpoolError::InUse { .. }) => return Ok(()),
            result => result?,
        };
        let bytes = vec![2; 40];
        if let AppendOutcome::Accepted(number) = second.append(class, &bytes)? {
            self.appended.insert((class, epoch, number), bytes);
            second.commit()?;
            self.committed.insert((class, epoch, number));
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
        let removed = self.committed.iter().filter(|&&(other, _, number)| other == class && number >= first);
        self.removed.extend(removed.copied());
        self.unsettled_removals[class.index()] = true;
        self.step(Step::Append(class, 40))?;
        self.step(Step::Commit)
    }

    /// Reports to the spool which records the receiver has, as after a connection has ended.
    fn resolve_class(&mut self, class: Class) -> Result<(), SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        self.read.remove(&class);
        resolve(spool, class, &self.received)
    }

    /// Handles a power failure or another failure of the disk, and checks the disk.
    fn handle_failure(&mut self) -> Result<(), String> {
        let last_state = self.spool.as_mut().map(Spool::close).or(self.last_state);
        self.close();
        if self.disk.has_crashed() {
            self.disk = self.disk.after_crash(&mut self.rng);
            self.forgotten_removals =
                array::from_fn(|class| self.forgotten_removals[class] || self.unsettled_removals[class]);
        } else {
            self.last_state = last_state;
        }
        self.check_disk()
    }

    /// Opens a copy of the disk and compares it with the expected contents.
    fn check_disk(&mut self) -> Result<(), String> {
        let peak = self.disk.peak();
        ensure(peak <= BUDGET, || format!("{peak} bytes exceed the budget"))?;
        let epoch = self.epoch + 1;
        let mut spool =
            Spool::open(self.disk.durable_copy(), self.options(epoch)).map_err(|error| error.to_string())?;
        for class in Class::ALL {
            resolve(&mut spool, class, &self.received).map_err(|error| error.to_string())?;
            let records = read_all(&mut spool, class)?;
            self.check_records(class, &records)?;
            let last = records.last().map_or(0, |record| record.number);
            spool.acknowledge(class, last).map_err(|error| error.to_string())?;
            self.check_counts(class, &spool, &records)?;
        }
        Ok(())
    }

    fn check_records(&self, class: Class, records: &[Record]) -> Result<(), String> {
        for record in records {
            let appended = self.appended.get(&(class, record.epoch, record.number));
            let name = || format!("{class} {} of epoch {}", record.number, record.epoch);
            ensure(appended.is_some(), || format!("{} was never appended", name()))?;
            ensure(appended == Some(&record.bytes), || {
                format!("{} differs from the appended record", name())
            })?;
        }
        ensure(records.windows(2).all(|pair| pair[0].number < pair[1].number), || {
            format!("the records of {class} are out of order")
        })
    }

    fn check_counts(
        &self,
        class: Class,
        spool: &Spool<MemoryDisk>,
        records: &[Record],
    ) -> Result<(), String> {
        let counters = spool.class_counters(class);
        let present: BTreeSet<(u64, u64)> =
            records.iter().map(|record| (record.epoch, record.number)).collect();
        let missing = self.committed.iter().filter(|&&(other, epoch, number)| {
            other == class
                && !present.contains(&(epoch, number))
                && !self.delivered.contains(&(other, epoch, number))
                && !self.received.contains(&(other, number))
                && !self.removed.contains(&(other, epoch, number))
        });
        let missing = missing.count() as u64;
        let (evicted, damaged) =
            (counters.dropped(DropReason::Evicted), counters.dropped(DropReason::Damaged));
        let counted = evicted + damaged;
        // Only flipped bits may cost a committed record; a crash or a failed sync may not.
        let allowed = if self.has_flipped_bits { counted } else { evicted };
        let has_forgotten = self.forgotten_removals[class.index()];
        let is_exact = !self.has_flipped_bits && !has_forgotten;
        let is_torn = self.has_flipped_bits && spool.torn_ends() > 0;
        ensure(missing <= allowed || is_torn || has_forgotten, || {
            format!(
                "{missing} records of {class} are missing, but {evicted} evicted and {damaged} damaged are counted"
            )
        })?;
        if is_exact {
            // Every number is exactly once with the receiver, on disk, or counted as dropped. A record that a
            // failed sync lost counts as damaged; it was never acknowledged to its producer. So does a record
            // whose segment another program has removed.
            let received = self.received.iter().filter(|(other, _)| *other == class);
            let mut known: BTreeSet<u64> = received.map(|&(_, number)| number).collect();
            known.extend(present.iter().map(|(_, number)| number));
            let total = known.len() as u64 + counted;
            ensure(total == counters.cursor, || {
                format!(
                    "{class}: {} known, {missing} missing, but the counters are {counters:?}",
                    known.len()
                )
            })?;
        }
        ensure(counters.delivered + counted == counters.cursor, || {
            format!("the counters of {class} do not add up: {counters:?}")
        })?;
        ensure(spool.pending_records(class) == 0, || {
            format!("{class} still holds {} records", spool.pending_records(class))
        })?;
        let refused = counters.dropped(DropReason::Refused);
        ensure(refused >= self.refused_durably[class as usize], || {
            format!(
                "{refused} refused records of {class} are counted, but {} were refused",
                self.refused_durably[class as usize]
            )
        })
    }
}

fn resolve(
    spool: &mut Spool<MemoryDisk>,
    class: Class,
    received: &BTreeSet<(Class, u64)>,
) -> Result<(), SpoolError> {
    let numbers = received.iter().filter(|(other, _)| *other == class);
    let ranges: Vec<RangeInclusive<u64>> = numbers.map(|&(_, number)| number..=number).collect();
    spool.resolve_received(class, &ranges)
}

fn read_all(spool: &mut Spool<MemoryDisk>, class: Class) -> Result<Vec<Record>, String> {
    let mut all_records = Vec::new();
    loop {
        let records = spool.read(class).map_err(|error| error.to_string())?;
        if records.is_empty() {
            return Ok(all_records);
        }
        all_records.extend(records);
    }
}

fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}
