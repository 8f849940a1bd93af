use std::ops::RangeInclusive;

use lopside_delivery::Class;
use sqlx::{Pool, Row as _};

use super::{super::Db, Row};
use crate::{Device, Watermark};

/// Returns the numbers from `from` on that are applied or settled, over all epochs of a spool together.
pub(super) async fn known_numbers(
    readers: &Pool<Db>,
    device: &str,
    spool: u32,
    class: Class,
    from: u64,
) -> sqlx::Result<Vec<RangeInclusive<u64>>> {
    let streams = sqlx::query(
        "SELECT floor, ranges FROM streams \
         WHERE device_id = (SELECT id FROM devices WHERE name = $1) AND class = $2 AND spool = $3",
    )
    .bind(device)
    .bind(i64::from(class.code()))
    .bind(i64::from(spool))
    .fetch_all(readers)
    .await?;
    let mut union = Watermark::default();
    for stream in &streams {
        for range in read_watermark(stream)?.covered_from(from) {
            union.insert(range);
        }
    }
    Ok(union.ranges().to_vec())
}

pub(super) async fn devices(readers: &Pool<Db>) -> sqlx::Result<Vec<Device>> {
    let rows = sqlx::query(
        "SELECT name, first_seen_us, last_seen_us, applied, frames, bytes FROM devices ORDER BY name",
    )
    .fetch_all(readers)
    .await?;
    let devices = rows.iter().map(|row| {
        Ok(Device {
            name: row.try_get(0)?,
            first_seen_us: row.try_get(1)?,
            last_seen_us: row.try_get(2)?,
            applied: read_unsigned(row, 3)?,
            frames: read_unsigned(row, 4)?,
            bytes: read_unsigned(row, 5)?,
        })
    });
    devices.collect()
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

/// Reads a count, a length or a number, which cannot be negative.
pub(super) fn read_unsigned(row: &Row, column: usize) -> sqlx::Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged_value("negative number"))
}

/// Creates the error for a value that the archive never writes.
pub(super) fn damaged_value(description: &str) -> sqlx::Error {
    sqlx::Error::Decode(description.into())
}
