//! Runs: frames of one stream with consecutive numbers and consecutive ids, which arrived together. A run has a row with
//! everything that its frames have in common, so the row of a frame has little more than its bytes.
//!
//! ```text
//! run     id │ number of the first frame │ length │ stream, source, latent space, arrival, clock │ latest time, span
//! frames  id, id + 1, …  id + length - 1          number of a frame = first number + its id - id of the run
//! ```
//! A run has at most [`MAX_RUN_FRAMES`] frames, whose times are from the same [`RUN_TIME_MS`]. Frames may be deleted from
//! it one by one; the last one takes the run with it. The latest time and the span do not change: they are bounds.
//! The run of a frame is the last one whose id is not higher than that of the frame.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{
    super::{JSON_ROWS, MARK_OVERHEAD_BYTES, insert_frames, next_frame_ids},
    Connection, NewRow, marks, sources,
};
use crate::{
    ClockQuality, NewRecord,
    clock::{CaptureTime, StoredTime},
};

/// Maximum number of frames of a run. A frame may be deleted or scored by itself, and that takes a look at its run.
pub(super) const MAX_RUN_FRAMES: i64 = 256;
/// The time that the frames of a run share: a quarter of an hour. It limits how many runs contain a point of time.
pub(super) const RUN_TIME_MS: i64 = 900_000;

/// A new frame of a stream.
pub(super) struct NewFrame<'a> {
    pub(super) device_id: i64,
    pub(super) stream_id: i64,
    pub(super) number: i64,
    /// The correction of the device's clock, in milliseconds, and its quality.
    pub(super) correction_ms: i64,
    pub(super) quality: ClockQuality,
    pub(super) record: &'a NewRecord,
}

/// The id of an inserted frame, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlacedFrame {
    pub(super) id: i64,
    pub(super) time: CaptureTime,
}

/// The frames that were inserted, and what they add to their devices besides their bytes.
#[derive(Debug, Default)]
pub(super) struct InsertedFrames {
    /// In the order of the new frames.
    pub(super) frames: Vec<PlacedFrame>,
    /// The totals by the id of the device.
    pub(super) totals: HashMap<i64, RunTotals>,
}

/// Runs and texts of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RunTotals {
    pub(super) runs: u64,
    /// Bytes of the names of sources, of traces and of marks.
    pub(super) text_bytes: u64,
}

/// A run to insert.
struct NewRun<'a> {
    id: i64,
    first: &'a NewFrame<'a>,
    length: i64,
    first_ms: i64,
    last_ms: i64,
}

/// Inserts new frames, which may be of several streams.
pub(super) async fn insert(
    connection: &mut Connection,
    frames: &[NewFrame<'_>],
    received_us: i64,
) -> sqlx::Result<InsertedFrames> {
    if frames.is_empty() {
        return Ok(InsertedFrames::default());
    }
    let ids = next_frame_ids(connection, frames.len()).await?;
    let times: Vec<CaptureTime> = frames.iter().map(|frame| frame.time(received_us)).collect();
    let rows: Vec<NewRow<'_>> =
        frames.iter().zip(&times).zip(&ids).map(|((frame, time), id)| frame.row(*id, *time)).collect();
    let runs = group_runs(frames, &rows);
    let mut totals = HashMap::<i64, RunTotals>::new();
    for run in &runs {
        totals.entry(run.first.device_id).or_default().runs += 1;
    }
    for frame in frames {
        let trace_bytes = frame.record.trace.as_ref().map_or(0, String::len) as u64;
        let mark_bytes = if frame.record.marks.is_empty() { 0 } else { MARK_OVERHEAD_BYTES };
        totals.entry(frame.device_id).or_default().text_bytes += trace_bytes + mark_bytes;
    }
    let names: Vec<(i64, &str)> = runs.iter().map(NewRun::source).collect();
    let sources = sources::add_runs(connection, &names).await?;
    for (device_id, bytes) in sources.new_bytes() {
        totals.entry(*device_id).or_default().text_bytes += bytes;
    }
    insert_runs(connection, &runs, &sources, received_us).await?;
    insert_frames(connection, &rows).await?;
    marks::insert(connection, &rows).await?;
    let placed = ids.into_iter().zip(times).map(|(id, time)| PlacedFrame { id, time });
    Ok(InsertedFrames { frames: placed.collect(), totals })
}

async fn insert_runs(
    connection: &mut Connection,
    runs: &[NewRun<'_>],
    sources: &sources::SourceIds,
    received_us: i64,
) -> sqlx::Result<()> {
    let rows = runs.iter().map(|run| {
        let NewFrame { device_id, stream_id, number, correction_ms, quality, record } = run.first;
        let source_id = sources.id_of(*device_id, &record.source)?;
        Ok((
            run.id,
            device_id,
            stream_id,
            source_id,
            i64::from_be_bytes(record.latent_space),
            number,
            run.length,
            run.last_ms,
            run.last_ms - run.first_ms,
            correction_ms,
            quality.code(),
        ))
    });
    let rows = json!(rows.collect::<sqlx::Result<Vec<_>>>()?).to_string();
    let insert = format!(
        "INSERT INTO runs (id, device_id, stream_id, source_id, latent_space, first_number, length, frames, last_ms, \
         span_ms, received_us, offset_ms, clock) \
         SELECT CAST(r.value ->> 0 AS bigint), CAST(r.value ->> 1 AS bigint), CAST(r.value ->> 2 AS bigint), \
         CAST(r.value ->> 3 AS bigint), CAST(r.value ->> 4 AS bigint), CAST(r.value ->> 5 AS bigint), \
         CAST(r.value ->> 6 AS bigint), CAST(r.value ->> 6 AS bigint), CAST(r.value ->> 7 AS bigint), \
         CAST(r.value ->> 8 AS bigint), $2, CAST(r.value ->> 9 AS bigint), CAST(r.value ->> 10 AS bigint) \
         FROM {JSON_ROWS} AS r"
    );
    sqlx::query(AssertSqlSafe(insert)).bind(rows).bind(received_us).execute(connection).await.map(drop)
}

/// Divides frames into runs; each frame is next to its row.
fn group_runs<'a>(frames: &'a [NewFrame<'a>], rows: &[NewRow<'_>]) -> Vec<NewRun<'a>> {
    let mut runs: Vec<NewRun<'a>> = Vec::new();
    for (frame, row) in frames.iter().zip(rows) {
        match runs.last_mut() {
            Some(run) if run.accepts(frame, row) => run.add(row.time_ms),
            _ => runs.push(NewRun {
                id: row.id,
                first: frame,
                length: 1,
                first_ms: row.time_ms,
                last_ms: row.time_ms,
            }),
        }
    }
    runs
}

impl<'a> NewFrame<'a> {
    fn time(&self, received_us: i64) -> CaptureTime {
        CaptureTime::judge(self.record.captured_us, received_us, self.correction_ms, self.quality)
    }

    fn row(&self, id: i64, time: CaptureTime) -> NewRow<'a> {
        let StoredTime { time_ms, captured_us } = time.to_stored(self.record.captured_us, self.correction_ms);
        NewRow { id, time_ms, captured_us, record: self.record }
    }
}

impl NewRun<'_> {
    fn source(&self) -> (i64, &str) {
        (self.first.device_id, &self.first.record.source)
    }

    /// Returns whether a frame continues the run.
    fn accepts(&self, frame: &NewFrame<'_>, row: &NewRow<'_>) -> bool {
        let first = self.first;
        let has_next_name = frame.stream_id == first.stream_id
            && frame.number == first.number + self.length
            && row.id == self.id + self.length;
        let has_same_clock = frame.correction_ms == first.correction_ms && frame.quality == first.quality;
        let (source, first_source) = (&frame.record.source, &first.record.source);
        has_next_name
            && has_same_clock
            && self.length < MAX_RUN_FRAMES
            && frame.record.latent_space == first.record.latent_space
            && (Arc::ptr_eq(source, first_source) || source == first_source)
            && row.time_ms.div_euclid(RUN_TIME_MS) == self.last_ms.div_euclid(RUN_TIME_MS)
    }

    fn add(&mut self, time_ms: i64) {
        self.length += 1;
        self.first_ms = self.first_ms.min(time_ms);
        self.last_ms = self.last_ms.max(time_ms);
    }
}

#[cfg(test)]
mod tests {
    use lopside_delivery::FrameMarks;
    use proptest::prelude::*;

    use super::*;

    const START_MS: i64 = 1_790_000_000_000;

    fn record(source: &str, latent_space: u8) -> NewRecord {
        NewRecord {
            captured_us: 0,
            source: source.into(),
            digest: 0,
            latent_space: [latent_space; 8],
            trace: None,
            marks: FrameMarks::default(),
            frame: Vec::<u8>::new().into(),
        }
    }

    /// Where a frame differs from the frame before it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Change {
        None,
        Stream,
        Number,
        Id,
        Source,
        LatentSpace,
        Correction,
        Quality,
        Time,
    }

    /// Returns the number of frames of each run.
    fn lengths(changes: &[Change]) -> Vec<i64> {
        let records = [record("a", 0), record("b", 0), record("a", 1), record("b", 1)];
        let (mut stream_id, mut number, mut id, mut time_ms, mut correction_ms) = (1, 1, 1, START_MS, 0);
        let (mut source, mut space, mut is_synchronised) = (0, 0, false);
        let (mut frames, mut rows) = (Vec::new(), Vec::new());
        for change in changes {
            (number, id, time_ms) = (number + 1, id + 1, time_ms + 1);
            match change {
                Change::None => {}
                Change::Stream => stream_id += 1,
                Change::Number => number += 1,
                Change::Id => id += 1,
                Change::Source => source = 1 - source,
                Change::LatentSpace => space = 1 - space,
                Change::Correction => correction_ms += 1,
                Change::Quality => is_synchronised = !is_synchronised,
                Change::Time => time_ms += RUN_TIME_MS,
            }
            let quality = if is_synchronised { ClockQuality::Synchronised } else { ClockQuality::Unknown };
            let record = &records[source + 2 * space];
            frames.push(NewFrame { device_id: 1, stream_id, number, correction_ms, quality, record });
            rows.push(NewRow { id, time_ms, captured_us: None, record });
        }
        let runs = group_runs(&frames, &rows);
        assert!(runs.iter().all(|run| (0..RUN_TIME_MS).contains(&(run.last_ms - run.first_ms))));
        runs.iter().map(|run| run.length).collect()
    }

    #[test]
    fn each_difference_begins_a_run() {
        for change in [
            Change::Stream,
            Change::Number,
            Change::Id,
            Change::Source,
            Change::LatentSpace,
            Change::Correction,
            Change::Quality,
            Change::Time,
        ] {
            assert_eq!(lengths(&[Change::None, Change::None, change, Change::None]), [2, 2], "{change:?}");
        }
    }

    #[test]
    fn a_run_has_a_limited_number_of_frames() {
        assert_eq!(lengths(&[Change::None; 600]), [256, 256, 88]);
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![9 => Just(Change::None), 1 => Just(Change::Number), 1 => Just(Change::Id), 1 => Just(Change::Time)]
    }

    proptest! {
        #[test]
        fn every_frame_is_in_one_run(changes in prop::collection::vec(change(), 0..700)) {
            let lengths = lengths(&changes);
            prop_assert_eq!(lengths.iter().sum::<i64>(), changes.len() as i64);
            prop_assert!(lengths.iter().all(|length| (1..=MAX_RUN_FRAMES).contains(length)));
        }
    }
}
