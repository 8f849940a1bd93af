use std::ops::RangeInclusive;

use super::{Connection, lanes::LaneKey, read};
use crate::LostNumbers;

/// Maximum number of ranges that a device is told of.
const MAX_REPORTED_RANGES: i64 = 1000;

/// Stores numbers of a lane that were acknowledged and are not in the archive.
pub(super) async fn insert_loss(
    connection: &mut Connection,
    (device_id, spool, class): LaneKey,
    numbers: &RangeInclusive<u64>,
    found_us: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO losses (device_id, spool, class, first_number, last_number, found_us) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(device_id)
    .bind(i64::from(spool))
    .bind(i64::from(class.code()))
    .bind(numbers.start().cast_signed())
    .bind(numbers.end().cast_signed())
    .bind(found_us)
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the lost numbers of a device's spool that have not come again, by class and ascending.
pub(super) async fn read_losses(
    connection: &mut Connection,
    device_id: i64,
    spool: u32,
) -> sqlx::Result<Vec<LostNumbers>> {
    let rows = sqlx::query(
        "SELECT class, first_number, last_number FROM losses \
         WHERE device_id = $1 AND spool = $2 AND returned_us IS NULL ORDER BY class, first_number LIMIT $3",
    )
    .bind(device_id)
    .bind(i64::from(spool))
    .bind(MAX_REPORTED_RANGES)
    .fetch_all(connection)
    .await?;
    let losses = rows.iter().map(|row| {
        let numbers = read::read_unsigned(row, 1)?..=read::read_unsigned(row, 2)?;
        Ok(LostNumbers { class: read::read_class(row, 0)?, numbers })
    });
    losses.collect()
}

/// Marks the lost numbers among these new ones as returned, and returns how many there are.
pub(super) async fn return_numbers(
    connection: &mut Connection,
    lane: LaneKey,
    numbers: &RangeInclusive<u64>,
    now_us: i64,
) -> sqlx::Result<u64> {
    let (device_id, spool, class) = lane;
    let losses: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT id, first_number, last_number, found_us FROM losses \
         WHERE device_id = $1 AND spool = $2 AND class = $3 AND last_number >= $4 AND first_number <= $5 \
         AND returned_us IS NULL",
    )
    .bind(device_id)
    .bind(i64::from(spool))
    .bind(i64::from(class.code()))
    .bind(numbers.start().cast_signed())
    .bind(numbers.end().cast_signed())
    .fetch_all(&mut *connection)
    .await?;
    let mut returned_count = 0;
    for (id, first, last, found_us) in losses {
        let (first, last) = (first.cast_unsigned(), last.cast_unsigned());
        let returned = first.max(*numbers.start())..=last.min(*numbers.end());
        returned_count += returned.end() - returned.start() + 1;
        sqlx::query("UPDATE losses SET first_number = $2, last_number = $3, returned_us = $4 WHERE id = $1")
            .bind(id)
            .bind(returned.start().cast_signed())
            .bind(returned.end().cast_signed())
            .bind(now_us)
            .execute(&mut *connection)
            .await?;
        for rest in [first..=returned.start() - 1, returned.end() + 1..=last] {
            if !rest.is_empty() {
                insert_loss(connection, lane, &rest, found_us).await?;
            }
        }
    }
    Ok(returned_count)
}
