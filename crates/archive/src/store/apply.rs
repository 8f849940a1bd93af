use std::{ops::RangeInclusive, sync::Arc};

use super::{
    Connection,
    conflicts::{find_conflict, without_archived},
    devices::Devices,
    epochs::find_newer_epochs,
    lanes::{LaneKey, Lanes},
    losses,
    runs::{self, NewFrame, PlacedFrame},
    streams::Streams,
};
use crate::{AppliedBatch, ArchiveError, Batch, FrameMeta, backend::CommittedBatch};

/// An accepted batch, and the numbers in it that are new.
struct BatchPlan<'a> {
    batch: &'a Batch,
    lane: LaneKey,
    stream_id: i64,
    /// The numbers that are new in the stream.
    new_ranges: Vec<RangeInclusive<u64>>,
    /// The new numbers whose frames the archive does not have under another name of the spool.
    frame_ranges: Vec<RangeInclusive<u64>>,
    /// Whether numbers of the lane were lost that may come again with this batch.
    may_return: bool,
}

/// Applies batches in the open transaction. A single batch may be refused.
pub(super) async fn apply_batches(
    connection: &mut Connection,
    batches: &[Batch],
    devices: &mut Devices,
    lanes: &mut Lanes,
    now_us: i64,
) -> sqlx::Result<Vec<Result<CommittedBatch, ArchiveError>>> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let mut streams = Streams::load(connection, batches, devices).await?;
    let mut plans: Vec<Result<BatchPlan<'_>, ArchiveError>> = Vec::with_capacity(batches.len());
    for batch in batches {
        let plan = plan_batch(connection, batch, devices, lanes, &mut streams, &plans).await?;
        plans.push(plan);
    }
    let frames: Vec<NewFrame<'_>> = plans.iter().flatten().flat_map(BatchPlan::new_frames).collect();
    let inserted = runs::insert(connection, &frames, now_us).await?;
    devices.count_runs(&inserted.totals);
    // The frames of each accepted batch are next to each other.
    let mut placed = inserted.frames.into_iter();
    streams.write(connection).await?;
    let mut newer_epochs = find_newer_epochs(connection, &last_new_numbers(&plans)).await?;
    let mut outcomes = Vec::with_capacity(plans.len());
    // An accepted batch has the same index here and among the last new numbers.
    let mut accepted_count = 0;
    for plan in plans {
        outcomes.push(match plan {
            Ok(plan) => {
                let newer_epoch = newer_epochs.remove(&accepted_count);
                accepted_count += 1;
                plan.count(connection, devices, newer_epoch, now_us).await?;
                let own: Vec<PlacedFrame> = placed.by_ref().take(plan.frame_count()).collect();
                Ok(plan.build_committed(&own, newer_epoch, now_us))
            }
            Err(error) => Err(error),
        });
    }
    Ok(outcomes)
}

/// Decides which records of a batch are new, after the earlier batches of the group. The batch may be refused.
async fn plan_batch<'a>(
    connection: &mut Connection,
    batch: &'a Batch,
    devices: &mut Devices,
    lanes: &mut Lanes,
    streams: &mut Streams,
    earlier: &[Result<BatchPlan<'a>, ArchiveError>],
) -> sqlx::Result<Result<BatchPlan<'a>, ArchiveError>> {
    let device = devices.get_mut(&batch.device)?;
    if batch.connection.is_some_and(|connection| connection != device.connection) {
        return Ok(Err(ArchiveError::Superseded { device: batch.device.clone() }));
    }
    let key = (device.id, batch.spool, batch.class);
    let lane = lanes.get_mut(key)?;
    let highest_floor = lane.highest_floor(batch.first_number);
    if batch.floor > highest_floor {
        return Ok(Err(floor_error(batch, highest_floor)));
    }
    let stream = streams.get_mut((device.id, batch.spool, batch.class, batch.epoch))?;
    let next = match stream.plan(batch) {
        Ok(next) => next,
        Err(error) => return Ok(Err(error)),
    };
    let has_replays = count(&next.new_ranges) < batch.records.len() as u64;
    if has_replays && let Some(number) = find_any_conflict(connection, batch, stream.id, earlier).await? {
        device.count_conflict();
        return Ok(Err(conflict_error(batch, number)));
    }
    let new_ranges = next.new_ranges.clone();
    let frame_ranges = without_archived(connection, batch, new_ranges.clone(), &stream.siblings).await?;
    lane.highest = lane.highest.max(stream.advance(next));
    let may_return = lane.highest_lost > 0;
    Ok(Ok(BatchPlan { batch, lane: key, stream_id: stream.id, new_ranges, frame_ranges, may_return }))
}

/// Returns a number of a batch that its stream has with another digest, in the database or in an earlier batch of the
/// group.
async fn find_any_conflict(
    connection: &mut Connection,
    batch: &Batch,
    stream_id: i64,
    earlier: &[Result<BatchPlan<'_>, ArchiveError>],
) -> sqlx::Result<Option<u64>> {
    let same_stream = earlier.iter().flatten().filter(|plan| plan.stream_id == stream_id);
    match same_stream.filter_map(|plan| plan.find_conflict(batch)).min() {
        Some(number) => Ok(Some(number)),
        None => find_conflict(connection, batch, stream_id).await,
    }
}

/// Creates the error for a record that is archived with another digest.
fn conflict_error(batch: &Batch, number: u64) -> ArchiveError {
    let Batch { device, class, epoch, .. } = batch;
    ArchiveError::Conflict { device: device.clone(), class: *class, epoch: *epoch, number }
}

/// Creates the error for a floor that the device cannot have settled.
fn floor_error(batch: &Batch, highest_floor: u64) -> ArchiveError {
    let reason = format!(
        "it settles class {} up to number {}, but at most {highest_floor} can be settled",
        batch.class, batch.floor
    );
    ArchiveError::refused_batch(&batch.device, reason)
}

/// Returns the stream and the highest new number of each accepted batch; 0 if it had nothing new.
fn last_new_numbers(plans: &[Result<BatchPlan<'_>, ArchiveError>]) -> Vec<(i64, u64)> {
    let accepted = plans.iter().flatten();
    accepted.map(|plan| (plan.stream_id, plan.new_ranges.last().map_or(0, |range| *range.end()))).collect()
}

impl<'a> BatchPlan<'a> {
    fn frame_numbers(&self) -> impl Iterator<Item = u64> {
        self.frame_ranges.iter().cloned().flatten()
    }

    fn frame_count(&self) -> usize {
        count(&self.frame_ranges) as usize
    }

    fn new_frames(&self) -> impl Iterator<Item = NewFrame<'a>> {
        let Self { batch, lane: (device_id, ..), stream_id, .. } = *self;
        self.frame_numbers().map(move |number| NewFrame {
            device_id,
            stream_id,
            number: number.cast_signed(),
            correction_ms: batch.clock.correction_ms(),
            quality: batch.clock.quality,
            record: batch.record(number),
        })
    }

    /// Returns the first number of a later batch of the same stream that is new here with another digest.
    fn find_conflict(&self, later: &Batch) -> Option<u64> {
        let numbers = later.first_number..=later.last_number();
        let mut shared = self.frame_numbers().filter(|number| numbers.contains(number));
        shared.find(|&number| self.batch.record(number).digest != later.record(number).digest)
    }

    /// Adds the batch to the counters of its device, and takes its numbers from those that were lost.
    async fn count(
        &self,
        connection: &mut Connection,
        devices: &mut Devices,
        newer_epoch: Option<u64>,
        now_us: i64,
    ) -> sqlx::Result<()> {
        let device = devices.get_mut(&self.batch.device)?;
        let bytes = self.frame_numbers().map(|number| self.batch.record(number).frame.len() as u64);
        device.count_frames(count(&self.frame_ranges), bytes.sum());
        if newer_epoch.is_some() {
            device.count_alternation();
        }
        if self.may_return {
            for range in &self.new_ranges {
                let returned = losses::return_numbers(connection, self.lane, range, now_us).await?;
                device.count_returned(returned);
            }
        }
        Ok(())
    }

    /// Builds the result of the batch after its frames are inserted.
    fn build_committed(
        &self,
        placed: &[PlacedFrame],
        newer_epoch: Option<u64>,
        received_us: i64,
    ) -> CommittedBatch {
        let device: Arc<str> = self.batch.device.as_str().into();
        let frames: Vec<Arc<FrameMeta>> = self
            .frame_numbers()
            .zip(placed)
            .map(|(number, placed)| {
                Arc::new(self.frame_meta(number, placed, Arc::clone(&device), received_us))
            })
            .collect();
        let applied = frames.len() as u64;
        let replayed = self.batch.records.len() as u64 - applied;
        CommittedBatch { applied: AppliedBatch { applied, replayed, newer_epoch }, frames }
    }

    fn frame_meta(&self, number: u64, placed: &PlacedFrame, device: Arc<str>, received_us: i64) -> FrameMeta {
        let record = self.batch.record(number);
        FrameMeta {
            id: placed.id,
            device,
            epoch: self.batch.epoch,
            class: self.batch.class,
            number,
            captured_us: record.captured_us,
            corrected_us: placed.time.corrected_us,
            clock: placed.time.quality,
            received_us,
            source: Arc::clone(&record.source),
            digest: record.digest,
            latent_space: record.latent_space,
            trace: record.trace.clone(),
            marks: record.marks,
            bytes: record.frame.len() as u64,
            score: None,
        }
    }
}

/// Returns how many numbers there are in these ranges.
fn count(ranges: &[RangeInclusive<u64>]) -> u64 {
    ranges.iter().map(|range| range.end() - range.start() + 1).sum()
}
