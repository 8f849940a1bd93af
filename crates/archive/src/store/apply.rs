use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use lopside_delivery::Class;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{
    super::{JSON_ROWS, ROW_LOCK, insert_frames},
    Connection, NewRow, read,
};
use crate::{AppliedBatch, ArchiveError, Batch, FrameMeta, Watermark, backend::CommittedBatch};

/// Maximum number of ranges in a stream's watermark. A device exceeds it only if it leaves gaps and never
/// raises its floor.
const MAX_RANGES: usize = 1 << 12;

/// The key of a stream: its device's id, its class and its epoch.
type StreamKey = (i64, Class, u64);

/// The stored identity of a device.
#[derive(Debug, Clone, Copy)]
struct StoredDevice {
    id: i64,
    /// The number of the newest connection.
    connection: u64,
}

struct StoredStream {
    id: i64,
    spool: u32,
    watermark: Watermark,
}

/// A batch, and the numbers in it that are new.
struct BatchPlan<'a> {
    batch: &'a Batch,
    device_id: i64,
    stream_id: i64,
    new_ranges: Vec<RangeInclusive<u64>>,
}

/// Applies batches in the open transaction. A single batch may be refused.
pub(super) async fn apply_batches(
    connection: &mut Connection,
    batches: &[Batch],
    now_us: i64,
) -> sqlx::Result<Vec<Result<CommittedBatch, ArchiveError>>> {
    let devices = load_devices(connection, batches, now_us).await?;
    let mut streams = load_streams(connection, batches, &devices).await?;
    let plans: Vec<Result<BatchPlan<'_>, ArchiveError>> = batches
        .iter()
        .map(|batch| {
            let sender = look_up(&devices, &batch.device)?;
            Ok(BatchPlan::from_batch(
                batch,
                sender,
                look_up_mut(&mut streams, &(sender.id, batch.class, batch.epoch))?,
            ))
        })
        .collect::<sqlx::Result<_>>()?;
    let rows = plans.iter().flatten().flat_map(|plan| plan.rows(now_us)).collect::<Vec<_>>();
    let inserted = insert_frames(connection, &rows).await?;
    let ids = inserted.into_iter().map(|(stream, number, id)| ((stream, number), id)).collect();
    write_streams(connection, streams.values()).await?;
    count_new_frames(connection, plans.iter().flatten(), now_us).await?;
    let mut outcomes = Vec::with_capacity(batches.len());
    for plan in plans {
        outcomes.push(match plan {
            Ok(plan) => Ok(plan.build_committed(connection, &ids, now_us).await?),
            Err(error) => Err(error),
        });
    }
    Ok(outcomes)
}

impl<'a> BatchPlan<'a> {
    fn from_batch(
        batch: &'a Batch,
        sender: StoredDevice,
        stream: &mut StoredStream,
    ) -> Result<Self, ArchiveError> {
        if batch.connection.is_some_and(|connection| connection != sender.connection) {
            return Err(ArchiveError::Superseded { device: batch.device.clone() });
        }
        let mut watermark = stream.watermark.clone();
        watermark.raise(batch.floor);
        let new_ranges = watermark.insert(batch.first_number..=batch.last_number());
        if watermark.ranges().len() > MAX_RANGES {
            let reason = format!(
                "its stream would have more than {MAX_RANGES} ranges above the floor: raise the floor"
            );
            return Err(ArchiveError::refused_batch(&batch.device, reason));
        }
        (stream.watermark, stream.spool) = (watermark, batch.spool);
        Ok(Self { batch, device_id: sender.id, stream_id: stream.id, new_ranges })
    }

    fn fresh_numbers(&self) -> impl Iterator<Item = u64> {
        self.new_ranges.iter().cloned().flatten()
    }

    fn rows(&self, received_us: i64) -> impl Iterator<Item = NewRow<'a>> {
        let Self { batch, device_id, stream_id, .. } = *self;
        self.fresh_numbers().map(move |number| NewRow {
            device_id,
            stream_id,
            number: number as i64,
            received_us,
            record: &batch.records[(number - batch.first_number) as usize],
        })
    }

    /// Builds the result of the batch after its rows are inserted.
    async fn build_committed(
        &self,
        connection: &mut Connection,
        ids: &HashMap<(i64, i64), i64>,
        now_us: i64,
    ) -> sqlx::Result<CommittedBatch> {
        let frames = self.rows(now_us).map(|row| {
            let id = look_up(ids, &(row.stream_id, row.number))?;
            Ok(Arc::new(self.frame_meta(&row, id)))
        });
        let frames = frames.collect::<sqlx::Result<Vec<_>>>()?;
        let applied = frames.len() as u64;
        let replayed = self.batch.records.len() as u64 - applied;
        let conflicting = if replayed == 0 { 0 } else { self.count_conflicting(connection).await? };
        Ok(CommittedBatch { applied: AppliedBatch { applied, replayed, conflicting }, frames })
    }

    /// Returns the number of its records that are archived with another digest.
    async fn count_conflicting(&self, connection: &mut Connection) -> sqlx::Result<u64> {
        let archived: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT number, digest FROM frames WHERE stream_id = $1 AND number BETWEEN $2 AND $3",
        )
        .bind(self.stream_id)
        .bind(self.batch.first_number as i64)
        .bind(self.batch.last_number() as i64)
        .fetch_all(connection)
        .await?;
        let conflicting = archived.into_iter().filter(|(number, digest)| {
            i64::from(self.batch.records[(*number as u64 - self.batch.first_number) as usize].digest)
                != *digest
        });
        Ok(conflicting.count() as u64)
    }

    fn frame_meta(&self, row: &NewRow<'_>, id: i64) -> FrameMeta {
        FrameMeta {
            id,
            device: self.batch.device.clone(),
            epoch: self.batch.epoch,
            class: self.batch.class,
            number: row.number as u64,
            captured_us: row.record.captured_us,
            received_us: row.received_us,
            source: row.record.source.clone(),
            digest: row.record.digest,
            latent_space: row.record.latent_space,
            trace: row.record.trace.clone(),
            bytes: row.record.frame.len() as u64,
            score: None,
        }
    }
}

/// Counts a new connection of a device, and returns the number of its connections so far.
pub(super) async fn register_connection(
    connection: &mut Connection,
    device: &str,
    now_us: i64,
) -> sqlx::Result<u64> {
    let turn: i64 = sqlx::query_scalar(
        "INSERT INTO devices (name, first_seen_us, last_seen_us, turn) VALUES ($1, $2, $2, 1) \
         ON CONFLICT (name) DO UPDATE SET turn = devices.turn + 1, last_seen_us = $2 RETURNING turn",
    )
    .bind(device)
    .bind(now_us)
    .fetch_one(connection)
    .await?;
    Ok(turn.cast_unsigned())
}

/// Finds the ids of the devices, and creates new ones. Other servers cannot apply batches of these devices
/// until the commit.
async fn load_devices(
    connection: &mut Connection,
    batches: &[Batch],
    now_us: i64,
) -> sqlx::Result<HashMap<String, StoredDevice>> {
    // Sorted, so that two servers do not wait for each other.
    let names: BTreeSet<[&str; 1]> = batches.iter().map(|batch| [batch.device.as_str()]).collect();
    let names = json!(names).to_string();
    let insert = format!(
        "INSERT INTO devices (name, first_seen_us, last_seen_us) \
         SELECT r.value ->> 0, $2, $2 FROM {JSON_ROWS} AS r WHERE true ON CONFLICT DO NOTHING"
    );
    sqlx::query(AssertSqlSafe(insert)).bind(&names).bind(now_us).execute(&mut *connection).await?;
    let select = format!(
        "SELECT name, id, turn FROM devices WHERE name IN (SELECT r.value ->> 0 FROM {JSON_ROWS} AS r) ORDER BY id {ROW_LOCK}"
    );
    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(&names).fetch_all(connection).await?;
    let devices = rows
        .into_iter()
        .map(|(name, id, turn)| (name, StoredDevice { id, connection: turn.cast_unsigned() }));
    Ok(devices.collect())
}

/// Finds the streams of the batches, and creates new ones.
async fn load_streams(
    connection: &mut Connection,
    batches: &[Batch],
    devices: &HashMap<String, StoredDevice>,
) -> sqlx::Result<HashMap<StreamKey, StoredStream>> {
    let keys = batches.iter().map(|batch| {
        Ok((look_up(devices, &batch.device)?.id, i64::from(batch.class.code()), batch.epoch.cast_signed()))
    });
    let keys = json!(keys.collect::<sqlx::Result<BTreeSet<_>>>()?).to_string();
    let select_keys = format!(
        "SELECT CAST(r.value ->> 0 AS bigint), CAST(r.value ->> 1 AS bigint), CAST(r.value ->> 2 AS bigint) \
         FROM {JSON_ROWS} AS r"
    );
    let insert = format!(
        "INSERT INTO streams (device_id, class, epoch) {select_keys} WHERE true ON CONFLICT DO NOTHING"
    );
    sqlx::query(AssertSqlSafe(insert)).bind(&keys).execute(&mut *connection).await?;
    let select = format!(
        "SELECT floor, ranges, id, device_id, class, epoch, spool FROM streams WHERE (device_id, class, epoch) IN ({select_keys})"
    );
    let rows = sqlx::query(AssertSqlSafe(select)).bind(&keys).fetch_all(connection).await?;
    let streams = rows.iter().map(|row| {
        let key = (row.try_get(3)?, read::read_class(row, 4)?, row.try_get::<i64, _>(5)?.cast_unsigned());
        let spool = u32::try_from(read::read_unsigned(row, 6)?)
            .map_err(|_| read::damaged_value("invalid spool name"))?;
        Ok((key, StoredStream { id: row.try_get(2)?, spool, watermark: read::read_watermark(row)? }))
    });
    streams.collect()
}

async fn write_streams(
    connection: &mut Connection,
    streams: impl Iterator<Item = &StoredStream>,
) -> sqlx::Result<()> {
    let rows: Vec<_> = streams
        .map(|StoredStream { id, spool, watermark }| {
            (*id, watermark.floor(), watermark.ranges_text(), *spool)
        })
        .collect();
    let update = format!(
        "UPDATE streams SET floor = CAST(r.value ->> 1 AS bigint), ranges = r.value ->> 2, spool = CAST(r.value ->> 3 AS bigint) \
         FROM {JSON_ROWS} AS r WHERE streams.id = CAST(r.value ->> 0 AS bigint)"
    );
    sqlx::query(AssertSqlSafe(update)).bind(json!(rows).to_string()).execute(connection).await?;
    Ok(())
}

/// Adds the new frames to the counters of each device.
async fn count_new_frames<'a>(
    connection: &mut Connection,
    plans: impl Iterator<Item = &'a BatchPlan<'a>>,
    now_us: i64,
) -> sqlx::Result<()> {
    let mut counts = BTreeMap::<i64, (u64, u64)>::new();
    for plan in plans {
        let (frames, bytes) = counts.entry(plan.device_id).or_default();
        for row in plan.rows(now_us) {
            *frames += 1;
            *bytes += row.record.frame.len() as u64;
        }
    }
    let rows: Vec<_> = counts.into_iter().map(|(id, (frames, bytes))| (id, frames, bytes)).collect();
    let update = format!(
        "UPDATE devices SET last_seen_us = $2, applied = applied + CAST(r.value ->> 1 AS bigint), \
         frames = frames + CAST(r.value ->> 1 AS bigint), bytes = bytes + CAST(r.value ->> 2 AS bigint) \
         FROM {JSON_ROWS} AS r WHERE devices.id = CAST(r.value ->> 0 AS bigint)"
    );
    let rows = json!(rows).to_string();
    sqlx::query(AssertSqlSafe(update)).bind(rows).bind(now_us).execute(connection).await?;
    Ok(())
}

/// Looks up a row that the transaction has just selected or inserted.
fn look_up<K, V, Q>(map: &HashMap<K, V>, key: &Q) -> sqlx::Result<V>
where
    K: std::borrow::Borrow<Q> + Eq + std::hash::Hash,
    Q: Eq + std::hash::Hash + ?Sized,
    V: Copy,
{
    map.get(key).copied().ok_or(sqlx::Error::RowNotFound)
}

fn look_up_mut<'a>(
    streams: &'a mut HashMap<StreamKey, StoredStream>,
    key: &StreamKey,
) -> sqlx::Result<&'a mut StoredStream> {
    streams.get_mut(key).ok_or(sqlx::Error::RowNotFound)
}
