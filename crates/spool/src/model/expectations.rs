//! What the oracle expects of a disk: which records it must contain, and which counts explain the missing ones.

use std::collections::{BTreeMap, BTreeSet};

use lopside_delivery::Class;

use super::{
    memory::MemoryDisk,
    receiver::{Receiver, Sender},
};
use crate::{DropReason, Record, Spool};

/// Identities of records: class, epoch and number.
type RecordIds = BTreeSet<(Class, u64, u64)>;

/// The expected contents of a disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Expectations {
    pub(super) appended: BTreeMap<(Class, u64, u64), Vec<u8>>,
    /// The times at which they were appended, in seconds.
    pub(super) appended_at: BTreeMap<(Class, u64, u64), u32>,
    /// The time, in seconds.
    pub(super) now_s: u32,
    /// The age limits per class, in seconds.
    pub(super) max_ages_s: [Option<u32>; 3],
    pub(super) committed: RecordIds,
    /// Number of records per class whose refusal was committed.
    pub(super) refused: [u64; 3],
    /// Committed records whose segment was removed by another program.
    pub(super) removed: RecordIds,
    /// Records that the receiver had when the spool took a new name. The spool does not learn that the receiver
    /// loses them.
    pub(super) unprotected: RecordIds,
    /// Classes of which a crash has made the process and the disk forget a removal: nothing can tell which of
    /// their records are missing.
    pub(super) forgotten_removals: [bool; 3],
    /// Classes of which the receiver has lost records.
    pub(super) has_lossy_receiver: [bool; 3],
    /// The number of the device that the disk belongs to, which is a part of its name.
    pub(super) device: u8,
    /// Whether the device has had another name.
    pub(super) is_renamed: bool,
    /// Whether the disk was set back to an earlier copy.
    pub(super) is_set_back: bool,
    /// Whether bits were flipped.
    pub(super) has_flipped_bits: bool,
}

impl Expectations {
    /// Returns the sender of what a spool on the disk sends.
    pub(super) fn sender(&self, spool: &Spool<MemoryDisk>) -> Sender {
        (self.device, spool.name())
    }

    /// Gives the device another name. The spool does not learn any more what the receiver loses of the records that
    /// it has already.
    pub(super) fn rename_device(&mut self, receiver: &Receiver) {
        self.device = self.device.wrapping_add(1);
        self.is_renamed = true;
        self.unprotected.extend(receiver.ever_received());
    }

    /// Reads and acknowledges all records of a class, and checks them and the counts.
    pub(super) fn check(
        &self,
        class: Class,
        spool: &mut Spool<MemoryDisk>,
        receiver: &Receiver,
    ) -> Result<(), String> {
        let records = read_all(spool, class)?;
        self.check_records(class, &records)?;
        let last = records.last().map_or(0, |record| record.number);
        spool.acknowledge(class, last).map_err(|error| error.to_string())?;
        self.check_missing(class, spool, receiver, &records)?;
        self.check_sums(class, spool, receiver, &records)
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

    /// Checks that a count explains each committed record that neither the receiver nor the disk has.
    fn check_missing(
        &self,
        class: Class,
        spool: &Spool<MemoryDisk>,
        receiver: &Receiver,
        records: &[Record],
    ) -> Result<(), String> {
        let counters = spool.class_counters(class);
        let present: BTreeSet<(u64, u64)> =
            records.iter().map(|record| (record.epoch, record.number)).collect();
        let missing = self.committed.iter().filter(|&&(other, epoch, number)| {
            other == class
                && !present.contains(&(epoch, number))
                && !receiver.has(class, epoch, number)
                && !self.removed.contains(&(class, epoch, number))
                && !self.unprotected.contains(&(class, epoch, number))
        });
        let (old, young): (Vec<_>, Vec<_>) =
            missing.copied().partition(|&record| self.may_have_expired(record));
        let (old, young) = (old.len() as u64, young.len() as u64);
        let [evicted, _, damaged, expired] = DropReason::ALL.map(|reason| counters.dropped(reason));
        // Only flipped bits may cost a committed record; a crash or a failed sync may not.
        let allowed = evicted + counters.lost + if self.has_flipped_bits { damaged } else { 0 };
        let is_explained = young <= allowed && old + young <= allowed + expired;
        let is_torn = self.has_flipped_bits && spool.torn_ends() > 0;
        ensure(is_explained || is_torn || self.forgotten_removals[class.index()], || {
            format!(
                "{old} old and {young} young records of {class} are missing, but the counters are {counters:?}"
            )
        })
    }

    /// Returns whether a record is older than the age limit of its class.
    fn may_have_expired(&self, record: (Class, u64, u64)) -> bool {
        let max_age_s = self.max_ages_s[record.0.index()];
        let age_s = self.appended_at.get(&record).map(|&appended_at| self.now_s - appended_at);
        max_age_s.zip(age_s).is_some_and(|(max_age_s, age_s)| age_s > max_age_s)
    }

    /// Notes that a record is appended now.
    pub(super) fn note_appended(&mut self, record: (Class, u64, u64), bytes: Vec<u8>) {
        self.appended.insert(record, bytes);
        self.appended_at.insert(record, self.now_s);
    }

    fn check_sums(
        &self,
        class: Class,
        spool: &Spool<MemoryDisk>,
        receiver: &Receiver,
        records: &[Record],
    ) -> Result<(), String> {
        let counters = spool.class_counters(class);
        let [evicted, _, damaged, expired] = DropReason::ALL.map(|reason| counters.dropped(reason));
        let counted = evicted + damaged + expired;
        if self.is_exact(class, spool) {
            // Every number is exactly once with the receiver, on disk, or counted as dropped. A record that a
            // failed sync lost counts as damaged; it was never acknowledged to its producer. So does a record
            // whose segment another program has removed.
            let mut known = receiver.numbers(class);
            known.extend(records.iter().map(|record| record.number));
            ensure(known.len() as u64 + counted == counters.cursor, || {
                format!("{class}: {} known, but the counters are {counters:?}", known.len())
            })?;
            ensure(receiver.ever_lost_count(class) == 0, || {
                format!("{class}: more was acknowledged than the receiver has: {counters:?}")
            })?;
        }
        ensure(self.has_lossy_receiver[class.index()] || receiver.ever_lost_count(class) == 0, || {
            format!("records of {class} are reported as lost, but the receiver has not lost any")
        })?;
        ensure(counters.lost <= receiver.ever_lost_count(class), || {
            let lost = receiver.ever_lost_count(class);
            format!("the receiver has lost {lost} records of {class}, but the counters are {counters:?}")
        })?;
        ensure(counters.delivered + counted == counters.cursor, || {
            format!("the counters of {class} do not add up: {counters:?}")
        })?;
        ensure(spool.pending_records(class) == 0, || {
            format!("{class} still holds {} records", spool.pending_records(class))
        })?;
        let (counted, refused) = (counters.dropped(DropReason::Refused), self.refused[class.index()]);
        ensure(counted >= refused, || {
            format!("{counted} refused records of {class} are counted, but {refused} were refused")
        })
    }

    /// Returns whether the counts must equal what the receiver and the disk have. Numbers that were set back are
    /// used twice, and a spool under a new name, its own or that of its device, cannot ask for records that it sent
    /// before.
    fn is_exact(&self, class: Class, spool: &Spool<MemoryDisk>) -> bool {
        let is_set_back = self.is_set_back || self.is_renamed || spool.times_renamed() > 0;
        let is_uncertain = self.has_lossy_receiver[class.index()] || self.forgotten_removals[class.index()];
        !is_set_back && !is_uncertain && !self.has_flipped_bits
    }
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
