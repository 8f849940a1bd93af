use std::collections::{BTreeMap, HashSet};

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{
    super::{
        FRAME_OVERHEAD_BYTES, JSON_ROWS, MARK_OVERHEAD_BYTES, ROW_LOCK, ROW_LOCK_SKIPPING, RUN_OVERHEAD_BYTES,
    },
    Connection, marks, read, scores, sources,
};
use crate::{DeletedFrames, quota::Eviction};

/// Frames per transaction, so that other transactions do not wait long for its end.
const FRAMES_PER_STEP: u64 = 500;

/// A part of a run whose frames are to be deleted: its ids from `first` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunPart {
    run_id: i64,
    first: i64,
    end: i64,
}

/// A frame of a device that may be deleted.
struct Candidate {
    run_id: i64,
    id: i64,
    received_us: i64,
    /// Bytes of the frame, of its trace and of its mark.
    bytes: u64,
    /// The run's share of the bytes of its source's name, which is deleted with the last run that has it.
    source_bytes: u64,
}

/// What a device loses by a deletion.
#[derive(Debug, Clone, Copy, Default)]
struct DeviceLoss {
    frames: u64,
    bytes: u64,
    runs: u64,
    text_bytes: u64,
}

pub(super) async fn delete(connection: &mut Connection, id: i64) -> sqlx::Result<bool> {
    let run: Option<i64> = sqlx::query_scalar("SELECT MAX(id) FROM runs WHERE id <= $1")
        .bind(id)
        .fetch_one(&mut *connection)
        .await?;
    let (Some(run_id), Some(end_id)) = (run, id.checked_add(1)) else { return Ok(false) };
    let lock = format!("SELECT id FROM runs WHERE id = $1 {ROW_LOCK}");
    sqlx::query(AssertSqlSafe(lock)).bind(run_id).execute(&mut *connection).await?;
    let deleted = delete_parts(connection, &[RunPart { run_id, first: id, end: end_id }]).await?;
    Ok(deleted.frames > 0)
}

/// Deletes some of the frames of a device that arrived first, as long as they are due.
pub(super) async fn delete_oldest(
    connection: &mut Connection,
    eviction: &Eviction,
) -> sqlx::Result<DeletedFrames> {
    // Another server that limits the same device waits, and sees then what is left of it.
    let lock = format!("SELECT frames, bytes, runs, text_bytes FROM devices WHERE id = $1 {ROW_LOCK}");
    let device =
        sqlx::query(AssertSqlSafe(lock)).bind(eviction.device_id).fetch_optional(&mut *connection).await?;
    let Some(device) = device else { return Ok(DeletedFrames::default()) };
    let occupied = (read::read_unsigned(&device, 0)?, read::read_stored_bytes(&device, 0)?);
    let runs = oldest_runs(connection, eviction.device_id).await?;
    let candidates = list_candidates(connection, &runs).await?;
    delete_parts(connection, &choose_parts(&candidates, eviction, occupied)).await
}

/// Locks the runs of a device that arrived first, and returns those that have enough frames for a step. The times of
/// capture do not count: they come from the clocks of devices.
async fn oldest_runs(connection: &mut Connection, device_id: i64) -> sqlx::Result<Vec<i64>> {
    let select = format!(
        "SELECT id, frames FROM runs WHERE device_id = $1 ORDER BY received_us, id LIMIT {FRAMES_PER_STEP} \
         {ROW_LOCK_SKIPPING}"
    );
    let runs: Vec<(i64, i64)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(device_id).fetch_all(connection).await?;
    let mut frames = 0;
    let needed = runs.into_iter().take_while(|(_, run_frames)| {
        let is_needed = frames < FRAMES_PER_STEP;
        frames += run_frames.cast_unsigned();
        is_needed
    });
    Ok(needed.map(|(id, _)| id).collect())
}

/// Returns the first frames of some runs, in the order of their arrival.
async fn list_candidates(connection: &mut Connection, runs: &[i64]) -> sqlx::Result<Vec<Candidate>> {
    let runs: Vec<_> = runs.iter().map(|id| [id]).collect();
    let select = format!(
        "SELECT r.id, f.id, r.received_us, CAST(length(f.frame) + COALESCE(octet_length(f.trace), 0) \
         + CASE WHEN EXISTS (SELECT 1 FROM marks AS m WHERE m.frame_id = f.id) THEN {MARK_OVERHEAD_BYTES} ELSE 0 END \
         AS bigint), \
         CAST(octet_length(s.text) / CASE WHEN s.runs > 1 THEN s.runs ELSE 1 END AS bigint) \
         FROM {JSON_ROWS} AS q CROSS JOIN runs AS r CROSS JOIN sources AS s CROSS JOIN frames AS f \
         WHERE r.id = CAST(q.value ->> 0 AS bigint) AND s.id = r.source_id AND f.id >= r.id AND f.id < r.id + r.length \
         ORDER BY r.received_us, f.id LIMIT {FRAMES_PER_STEP}"
    );
    let rows: Vec<(i64, i64, i64, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(json!(runs).to_string()).fetch_all(connection).await?;
    let candidates = rows.into_iter().map(|(run_id, id, received_us, bytes, source_bytes)| Candidate {
        run_id,
        id,
        received_us,
        bytes: bytes.cast_unsigned(),
        source_bytes: source_bytes.cast_unsigned(),
    });
    Ok(candidates.collect())
}

/// Chooses the first frames that are due, by run. The device has so many frames, and occupies so many bytes on disk.
fn choose_parts(
    candidates: &[Candidate],
    eviction: &Eviction,
    (mut frames, mut bytes): (u64, u64),
) -> Vec<RunPart> {
    let mut parts: Vec<RunPart> = Vec::new();
    for candidate in candidates {
        if !eviction.is_due(candidate.received_us, frames, bytes) {
            break;
        }
        let (run_id, end_id) = (candidate.run_id, candidate.id + 1);
        let mut stored_bytes = candidate.bytes + FRAME_OVERHEAD_BYTES;
        match parts.last_mut() {
            Some(part) if part.run_id == run_id => part.end = end_id,
            _ => {
                stored_bytes += RUN_OVERHEAD_BYTES + candidate.source_bytes;
                parts.push(RunPart { run_id, first: candidate.id, end: end_id });
            }
        }
        frames = frames.saturating_sub(1);
        bytes = bytes.saturating_sub(stored_bytes);
    }
    parts
}

/// Deletes frames of locked runs, and subtracts them from their runs, sources and devices.
async fn delete_parts(connection: &mut Connection, parts: &[RunPart]) -> sqlx::Result<DeletedFrames> {
    if parts.is_empty() {
        return Ok(DeletedFrames::default());
    }
    let run_by_first: BTreeMap<i64, i64> = parts.iter().map(|part| (part.first, part.run_id)).collect();
    let mut losses = BTreeMap::<i64, DeviceLoss>::new();
    for (id, bytes, text_bytes) in delete_frames(connection, parts).await? {
        let run = run_by_first.range(..=id).next_back().map(|(_, run_id)| *run_id);
        let loss = losses.entry(run.ok_or(sqlx::Error::RowNotFound)?).or_default();
        loss.frames += 1;
        loss.bytes += bytes.cast_unsigned();
        loss.text_bytes += text_bytes;
    }
    let deleted = DeletedFrames {
        frames: losses.values().map(|loss| loss.frames).sum(),
        bytes: losses.values().map(|loss| loss.bytes).sum(),
    };
    if deleted.frames > 0 {
        subtract_losses(connection, &losses).await?;
    }
    Ok(deleted)
}

/// Deletes the frames of some parts of runs, with their scores and marks. Returns their ids, the bytes of each, and the
/// bytes of its trace and of its mark.
async fn delete_frames(connection: &mut Connection, parts: &[RunPart]) -> sqlx::Result<Vec<(i64, i64, u64)>> {
    let ranges: Vec<_> = parts.iter().map(|part| (part.first, part.end)).collect();
    let ranges = json!(ranges).to_string();
    let delete_scores = format!(
        "DELETE FROM scores WHERE frame_id IN (SELECT c.frame_id FROM {JSON_ROWS} AS q CROSS JOIN scores AS c \
         WHERE c.frame_id >= CAST(q.value ->> 0 AS bigint) AND c.frame_id < CAST(q.value ->> 1 AS bigint))"
    );
    sqlx::query(AssertSqlSafe(delete_scores)).bind(&ranges).execute(&mut *connection).await?;
    let marked: HashSet<i64> = marks::delete(connection, &ranges).await?.into_iter().collect();
    let delete_frames = format!(
        "DELETE FROM frames WHERE id IN (SELECT f.id FROM {JSON_ROWS} AS q CROSS JOIN frames AS f \
         WHERE f.id >= CAST(q.value ->> 0 AS bigint) AND f.id < CAST(q.value ->> 1 AS bigint)) \
         RETURNING id, CAST(length(frame) AS bigint), CAST(COALESCE(octet_length(trace), 0) AS bigint)"
    );
    let deleted: Vec<(i64, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(delete_frames)).bind(&ranges).fetch_all(connection).await?;
    let deleted = deleted.into_iter().map(|(id, bytes, trace_bytes)| {
        let mark_bytes = if marked.contains(&id) { MARK_OVERHEAD_BYTES } else { 0 };
        (id, bytes, trace_bytes.cast_unsigned() + mark_bytes)
    });
    Ok(deleted.collect())
}

/// Subtracts the losses of some runs from the runs and from their sources and devices. Runs without frames are deleted.
async fn subtract_losses(
    connection: &mut Connection,
    losses: &BTreeMap<i64, DeviceLoss>,
) -> sqlx::Result<()> {
    let rows: Vec<_> = losses.iter().map(|(run_id, loss)| (run_id, loss.frames)).collect();
    let rows = json!(rows).to_string();
    let update = format!(
        "UPDATE runs SET frames = runs.frames - CAST(r.value ->> 1 AS bigint) FROM {JSON_ROWS} AS r \
         WHERE runs.id = CAST(r.value ->> 0 AS bigint)"
    );
    sqlx::query(AssertSqlSafe(update)).bind(&rows).execute(&mut *connection).await?;
    let select = format!(
        "SELECT id, device_id, source_id, frames FROM runs \
         WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
    );
    let runs: Vec<(i64, i64, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(&rows).fetch_all(&mut *connection).await?;
    let delete = format!(
        "DELETE FROM runs WHERE frames <= 0 AND id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
    );
    sqlx::query(AssertSqlSafe(delete)).bind(&rows).execute(&mut *connection).await?;
    let (mut devices, mut sources) = (BTreeMap::<i64, DeviceLoss>::new(), BTreeMap::<i64, u64>::new());
    let mut rest = Vec::new();
    for (run_id, device_id, source_id, frames) in runs {
        let mut loss = losses.get(&run_id).copied().unwrap_or_default();
        if frames > 0 {
            rest.push(run_id);
        } else {
            loss.runs = 1;
            *sources.entry(source_id).or_default() += 1;
        }
        devices.entry(device_id).or_default().add(&loss);
    }
    scores::refresh_runs(connection, &rest).await?;
    lock_devices(connection, &devices).await?;
    for (device_id, bytes) in sources::subtract_runs(connection, &sources).await? {
        devices.entry(device_id).or_default().text_bytes += bytes;
    }
    subtract_from_devices(connection, &devices).await
}

async fn lock_devices(connection: &mut Connection, losses: &BTreeMap<i64, DeviceLoss>) -> sqlx::Result<()> {
    let ids: Vec<_> = losses.keys().map(|id| [id]).collect();
    let lock = format!(
        "SELECT id FROM devices WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r) \
         ORDER BY id {ROW_LOCK}"
    );
    sqlx::query(AssertSqlSafe(lock)).bind(json!(ids).to_string()).execute(connection).await.map(drop)
}

async fn subtract_from_devices(
    connection: &mut Connection,
    losses: &BTreeMap<i64, DeviceLoss>,
) -> sqlx::Result<()> {
    let rows = losses
        .iter()
        .map(|(id, DeviceLoss { frames, bytes, runs, text_bytes })| (id, frames, bytes, runs, text_bytes));
    let rows = json!(rows.collect::<Vec<_>>()).to_string();
    let update = format!(
        "UPDATE devices SET frames = devices.frames - CAST(r.value ->> 1 AS bigint), \
         bytes = devices.bytes - CAST(r.value ->> 2 AS bigint), runs = devices.runs - CAST(r.value ->> 3 AS bigint), \
         text_bytes = devices.text_bytes - CAST(r.value ->> 4 AS bigint) \
         FROM {JSON_ROWS} AS r WHERE devices.id = CAST(r.value ->> 0 AS bigint)"
    );
    sqlx::query(AssertSqlSafe(update)).bind(rows).execute(connection).await.map(drop)
}

impl DeviceLoss {
    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.runs += other.runs;
        self.text_bytes += other.text_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(run_id: i64, id: i64, received_us: i64) -> Candidate {
        Candidate { run_id, id, received_us, bytes: 10, source_bytes: 0 }
    }

    /// Returns the parts that are chosen of two runs with the frames 1, 2, 3 and 7, 9.
    fn chosen(arrived_before_us: i64, max_frames: u64, max_bytes: u64) -> Vec<(i64, i64, i64)> {
        let candidates = [
            candidate(1, 1, 100),
            candidate(1, 2, 100),
            candidate(1, 3, 100),
            candidate(7, 7, 200),
            candidate(7, 9, 200),
        ];
        let eviction = Eviction { device_id: 1, arrived_before_us, max_frames, max_bytes };
        let parts = choose_parts(&candidates, &eviction, (5, 5 * FRAME + 2 * RUN));
        parts.iter().map(|part| (part.run_id, part.first, part.end)).collect()
    }

    const FRAME: u64 = 10 + FRAME_OVERHEAD_BYTES;
    const RUN: u64 = RUN_OVERHEAD_BYTES;
    const ALL: u64 = u64::MAX;

    #[test]
    fn frames_are_chosen_as_long_as_they_are_due() {
        assert_eq!(chosen(100, ALL, ALL), []);
        assert_eq!(chosen(101, ALL, ALL), [(1, 1, 4)]);
        assert_eq!(chosen(300, ALL, ALL), [(1, 1, 4), (7, 7, 10)]);
        assert_eq!(chosen(i64::MIN, 5, ALL), []);
        assert_eq!(chosen(i64::MIN, 3, ALL), [(1, 1, 3)]);
        assert_eq!(chosen(i64::MIN, 1, ALL), [(1, 1, 4), (7, 7, 8)]);
        assert_eq!(chosen(i64::MIN, ALL, 5 * FRAME + 2 * RUN), []);
        assert_eq!(chosen(i64::MIN, ALL, 5 * FRAME + 2 * RUN - 1), [(1, 1, 2)]);
        assert_eq!(chosen(i64::MIN, ALL, 4 * FRAME + RUN - 1), [(1, 1, 3)]);
        assert_eq!(chosen(i64::MIN, 4, 2 * FRAME + RUN), [(1, 1, 4)]);
        assert_eq!(chosen(i64::MIN, 0, 0), [(1, 1, 4), (7, 7, 10)]);
    }
}
