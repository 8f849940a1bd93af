use lopside_delivery::Class;
use serde_json::json;
use sqlx::{AssertSqlSafe, Pool, Row as _};

use super::{
    super::{Db, FRAME_OVERHEAD_BYTES, JSON_ROWS, RUN_OVERHEAD_BYTES},
    Row,
};
use crate::{ClockQuality, Device, DeviceClock, KnownNumbers, Watermark};

/// The columns that [`read_device`] reads.
const DEVICE_COLUMNS: &str = "name, first_seen_us, last_seen_us, applied, frames, bytes, runs, text_bytes, clock_offset_ms, \
     clock, conflicts, alternations, displaced, lost";

/// Returns the numbers of some classes of a spool, each from a number on, that are applied or settled, by epoch.
pub(super) async fn known_numbers(
    readers: &Pool<Db>,
    device: &str,
    spool: u32,
    lanes: &[(Class, u64)],
) -> sqlx::Result<Vec<KnownNumbers>> {
    let lanes: Vec<_> = lanes.iter().map(|(class, from)| (class.code(), from)).collect();
    let select = format!(
        "SELECT s.floor, s.ranges, s.class, s.epoch, CAST(r.value ->> 1 AS bigint) \
         FROM {JSON_ROWS} AS r JOIN streams AS s ON s.class = CAST(r.value ->> 0 AS bigint) \
         AND s.last_number >= CAST(r.value ->> 1 AS bigint) \
         WHERE s.device_id = (SELECT id FROM devices WHERE name = $2) AND s.spool = $3 ORDER BY s.class, s.id"
    );
    let streams = sqlx::query(AssertSqlSafe(select))
        .bind(json!(lanes).to_string())
        .bind(device)
        .bind(i64::from(spool))
        .fetch_all(readers)
        .await?;
    let mut known = Vec::with_capacity(streams.len());
    for stream in &streams {
        let ranges = read_watermark(stream)?.covered_from(read_unsigned(stream, 4)?);
        let (class, epoch) = (read_class(stream, 2)?, stream.try_get::<i64, _>(3)?.cast_unsigned());
        if !ranges.is_empty() {
            known.push(KnownNumbers { class, epoch, ranges });
        }
    }
    Ok(known)
}

pub(super) async fn devices(readers: &Pool<Db>) -> sqlx::Result<Vec<Device>> {
    let select = format!("SELECT {DEVICE_COLUMNS} FROM devices ORDER BY name");
    sqlx::query(AssertSqlSafe(select)).fetch_all(readers).await?.iter().map(read_device).collect()
}

/// Returns the first devices whose names come after this one.
pub(super) async fn devices_after(readers: &Pool<Db>, name: &str, limit: u32) -> sqlx::Result<Vec<Device>> {
    let select = format!("SELECT {DEVICE_COLUMNS} FROM devices WHERE name > $1 ORDER BY name LIMIT $2");
    let rows =
        sqlx::query(AssertSqlSafe(select)).bind(name).bind(i64::from(limit)).fetch_all(readers).await?;
    rows.iter().map(read_device).collect()
}

fn read_device(row: &Row) -> sqlx::Result<Device> {
    Ok(Device {
        name: row.try_get(0)?,
        first_seen_us: row.try_get(1)?,
        last_seen_us: row.try_get(2)?,
        applied: read_unsigned(row, 3)?,
        frames: read_unsigned(row, 4)?,
        bytes: read_unsigned(row, 5)?,
        stored_bytes: read_stored_bytes(row, 4)?,
        clock: read_device_clock(row, 8)?,
        conflicts: read_unsigned(row, 10)?,
        alternations: read_unsigned(row, 11)?,
        displaced: read_unsigned(row, 12)?,
        lost: read_unsigned(row, 13)?,
    })
}

/// Computes the approximate bytes on disk of a device from its frames, their bytes, its runs, and the bytes of its
/// texts, in columns from the given one on.
pub(super) fn read_stored_bytes(row: &Row, column: usize) -> sqlx::Result<u64> {
    let (frames, bytes) = (read_unsigned(row, column)?, read_unsigned(row, column + 1)?);
    let (runs, text_bytes) = (read_unsigned(row, column + 2)?, read_unsigned(row, column + 3)?);
    Ok(bytes + text_bytes + frames * FRAME_OVERHEAD_BYTES + runs * RUN_OVERHEAD_BYTES)
}

/// Reads the clock of a device from its offset and its quality, in columns from the given one on.
pub(super) fn read_device_clock(row: &Row, column: usize) -> sqlx::Result<DeviceClock> {
    Ok(DeviceClock { offset_ms: row.try_get(column)?, quality: read_clock_quality(row, column + 1)? })
}

pub(super) fn read_clock_quality(row: &Row, column: usize) -> sqlx::Result<ClockQuality> {
    ClockQuality::from_code(row.try_get(column)?).ok_or_else(|| damaged_value("invalid quality of a clock"))
}

/// Reads the watermark from the first two columns, floor and ranges.
pub(super) fn read_watermark(row: &Row) -> sqlx::Result<Watermark> {
    let ranges: &str = row.try_get(1)?;
    Watermark::parse(read_unsigned(row, 0)?, ranges)
        .ok_or_else(|| damaged_value(&format!("invalid watermark: {ranges:.80}")))
}

pub(super) fn read_class(row: &Row, column: usize) -> sqlx::Result<Class> {
    let code = u8::try_from(row.try_get::<i64, _>(column)?).ok();
    code.and_then(Class::from_code).ok_or_else(|| damaged_value("invalid class"))
}

/// Reads the name of a spool.
pub(super) fn read_spool(row: &Row, column: usize) -> sqlx::Result<u32> {
    u32::try_from(read_unsigned(row, column)?).map_err(|_| damaged_value("invalid spool name"))
}

/// Reads a count, a length or a number, which cannot be negative.
pub(super) fn read_unsigned(row: &Row, column: usize) -> sqlx::Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged_value("negative number"))
}

/// Creates the error for a value that the archive never writes.
pub(super) fn damaged_value(description: &str) -> sqlx::Error {
    sqlx::Error::Decode(description.into())
}
