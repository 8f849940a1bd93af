//! The expected behaviour of an archive, with sets of numbers.

use std::collections::{BTreeMap, BTreeSet};

use lopside_archive::{AppliedBatch, Batch, DeletedFrames, SweepReport};
use lopside_delivery::Class;

/// The device, the spool and the class.
pub(super) type Lane = (u8, u32, Class);
/// The lane and the epoch.
pub(super) type Stream = (Lane, u64);
/// The stream, number and digest of each frame, by arrival time and id.
pub(super) type Frames = BTreeMap<(i64, i64), (Stream, u64, u32)>;

/// The reason why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A newer connection of the device exists.
    Late,
    /// The floor cannot be true.
    Floor,
    /// The record with this number is archived with another digest.
    Conflict(u64),
}

/// An archive. A copy of it is a backup.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    streams: BTreeMap<Stream, StreamModel>,
    losses: BTreeMap<Lane, Loss>,
    pub(super) devices: BTreeMap<u8, DeviceModel>,
    pub(super) frames: Frames,
    /// Number of openings.
    pub(super) generation: u64,
}

impl Model {
    /// Creates the model of an archive that was opened once.
    pub(super) fn opened_once() -> Self {
        Self { generation: 1, ..Self::default() }
    }
}

#[derive(Debug, Clone, Default)]
struct StreamModel {
    /// The number of streams that are older.
    age: usize,
    floor: u64,
    /// All numbers ever applied.
    applied: BTreeSet<u64>,
}

#[derive(Debug, Clone, Default)]
struct Loss {
    highest: u64,
    missing: BTreeSet<u64>,
}

/// The counters of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeviceModel {
    pub(super) connection: u64,
    pub(super) applied: u64,
    pub(super) conflicts: u64,
    pub(super) alternations: u64,
    pub(super) displaced: u64,
}

impl StreamModel {
    fn last(&self) -> u64 {
        self.applied.last().copied().unwrap_or(0).max(self.floor)
    }
}

impl Model {
    /// Applies a batch, and returns its outcome and the numbers of the new frames.
    pub(super) fn apply(
        &mut self,
        stream: Stream,
        batch: &Batch,
    ) -> Result<(AppliedBatch, Vec<u64>), Refusal> {
        let (lane, _) = stream;
        self.check(stream, batch)?;
        let count = self.streams.len();
        let others = self.archived_elsewhere(stream, batch);
        let entry = self
            .streams
            .entry(stream)
            .or_insert_with(|| StreamModel { age: count, ..StreamModel::default() });
        entry.floor = entry.floor.max(batch.floor.min(batch.first_number - 1));
        let numbers = batch.first_number..batch.first_number + batch.records.len() as u64;
        let new: Vec<u64> =
            numbers.filter(|number| *number > entry.floor && entry.applied.insert(*number)).collect();
        if let Some(loss) = self.losses.get_mut(&lane) {
            for number in &new {
                loss.missing.remove(number);
            }
        }
        let newer_epoch = new.last().and_then(|last| self.newer_epoch(stream, *last));
        let frames: Vec<u64> = new.into_iter().filter(|number| !others.contains(number)).collect();
        let device = self.devices.entry(lane.0).or_default();
        device.applied += frames.len() as u64;
        device.alternations += u64::from(newer_epoch.is_some());
        let applied = frames.len() as u64;
        let replayed = batch.records.len() as u64 - applied;
        Ok((AppliedBatch { applied, replayed, newer_epoch }, frames))
    }

    fn check(&mut self, stream: Stream, batch: &Batch) -> Result<(), Refusal> {
        let (lane, _) = stream;
        let connection = self.devices.get(&lane.0).map_or(0, |device| device.connection);
        if batch.connection.is_some_and(|given| given != connection) {
            return Err(Refusal::Late);
        }
        if batch.floor > self.highest_acknowledged(lane).max(batch.first_number - 1) {
            return Err(Refusal::Floor);
        }
        let digests: BTreeMap<u64, u32> =
            (batch.first_number..).zip(batch.records.iter().map(|record| record.digest)).collect();
        let conflicts = self.frames.values().filter(|(other, number, digest)| {
            *other == stream && digests.get(number).is_some_and(|sent| sent != digest)
        });
        if let Some(number) = conflicts.map(|(_, number, _)| *number).min() {
            self.devices.entry(lane.0).or_default().conflicts += 1;
            return Err(Refusal::Conflict(number));
        }
        Ok(())
    }

    /// Returns the numbers of a batch that another spool of the device has in the same epoch with the same digest.
    fn archived_elsewhere(&self, ((device, spool, class), epoch): Stream, batch: &Batch) -> BTreeSet<u64> {
        let records: BTreeSet<(u64, u32)> =
            (batch.first_number..).zip(batch.records.iter().map(|record| record.digest)).collect();
        let frames =
            self.frames.values().filter(|(((other_device, other_spool, other_class), other_epoch), ..)| {
                (*other_device, *other_class, *other_epoch) == (device, class, epoch) && *other_spool != spool
            });
        let same = frames.filter(|(_, number, digest)| records.contains(&(*number, *digest)));
        same.map(|(_, number, _)| *number).collect()
    }

    /// Returns the newest epoch that has taken over from that of the stream before its new number `last`.
    fn newer_epoch(&self, stream: Stream, last: u64) -> Option<u64> {
        let own = &self.streams[&stream];
        let first = *own.applied.first()?;
        let newer = self.streams.iter().filter(|((lane, _), other)| {
            let overlaps = other.applied.first().is_some_and(|first| *first <= last) && other.last() >= first;
            *lane == stream.0 && other.age > own.age && overlaps
        });
        newer.max_by_key(|(_, other)| other.age).map(|((_, epoch), _)| *epoch)
    }

    /// Registers a connection whose spool was acknowledged these numbers. Returns its number, and how many numbers
    /// turned out to be lost.
    pub(super) fn register(
        &mut self,
        device: u8,
        spool: u32,
        acknowledged: &[(Class, u64)],
        displaced: u64,
    ) -> (u64, u64) {
        let mut newly_lost = 0;
        for &(class, acknowledged) in acknowledged {
            let lane = (device, spool, class);
            let first = self.highest_acknowledged(lane) + 1;
            if first <= acknowledged {
                let loss = self.losses.entry(lane).or_default();
                loss.missing.extend(first..=acknowledged);
                loss.highest = acknowledged;
                newly_lost += acknowledged - first + 1;
            }
        }
        let device = self.devices.entry(device).or_default();
        device.connection += 1;
        device.displaced += displaced;
        (device.connection, newly_lost)
    }

    /// Returns the numbers of a lane that are lost and have not come again.
    pub(super) fn missing(&self, lane: Lane) -> BTreeSet<u64> {
        self.losses.get(&lane).map(|loss| loss.missing.clone()).unwrap_or_default()
    }

    /// Returns how many numbers of a device are lost and have not come again.
    pub(super) fn lost(&self, device: u8) -> u64 {
        let losses = self.losses.iter().filter(|((other, ..), _)| *other == device);
        losses.map(|(_, loss)| loss.missing.len() as u64).sum()
    }

    /// Returns the highest number of a lane that was applied or settled.
    pub(super) fn highest(&self, lane: Lane) -> u64 {
        let streams = self.streams.iter().filter(|((other, _), _)| *other == lane);
        streams.map(|(_, stream)| stream.last()).max().unwrap_or(0)
    }

    /// Returns the highest number of a lane that some archive has acknowledged.
    fn highest_acknowledged(&self, lane: Lane) -> u64 {
        self.highest(lane).max(self.losses.get(&lane).map_or(0, |loss| loss.highest))
    }

    /// Returns the numbers of a lane from `from` on that are applied or settled, by epoch.
    pub(super) fn known(&self, lane: Lane, from: u64) -> BTreeMap<u64, Vec<u64>> {
        let streams = self.streams.iter().filter(|((other, _), _)| *other == lane);
        let known = streams.map(|((_, epoch), stream)| {
            let numbers: BTreeSet<u64> = stream.applied.iter().copied().chain(1..=stream.floor).collect();
            (*epoch, numbers.into_iter().filter(|number| *number >= from).collect::<Vec<_>>())
        });
        known.filter(|(_, numbers)| !numbers.is_empty()).collect()
    }

    pub(super) fn sweep(&mut self, horizon_us: i64, max_device_frames: u64) -> SweepReport {
        let keys = self.frames.keys().copied();
        let expired: Vec<_> = keys.filter(|(received_us, _)| *received_us < horizon_us).collect();
        let mut report = SweepReport { expired: self.remove(&expired), ..SweepReport::default() };
        let mut excess = Vec::new();
        for device in self.devices.keys() {
            let own = self.frames.iter().filter(|(_, (((other, ..), _), ..))| other == device);
            let keys: Vec<(i64, i64)> = own.map(|(key, _)| *key).collect();
            excess.extend(keys.iter().take(keys.len().saturating_sub(max_device_frames as usize)));
        }
        report.over_quota = self.remove(&excess);
        report
    }

    fn remove(&mut self, keys: &[(i64, i64)]) -> DeletedFrames {
        for key in keys {
            self.frames.remove(key);
        }
        DeletedFrames { frames: keys.len() as u64, bytes: 10 * keys.len() as u64 }
    }

    pub(super) fn bytes(&self) -> u64 {
        10 * self.frames.len() as u64
    }
}
