use std::{collections::BTreeSet, ops::RangeInclusive};

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{super::JSON_ROWS, Connection, runs::MAX_RUN_FRAMES};
use crate::{Batch, Watermark};

/// Returns the first number of a batch that its stream has with another digest.
pub(super) async fn find_conflict(
    connection: &mut Connection,
    batch: &Batch,
    stream_id: i64,
) -> sqlx::Result<Option<u64>> {
    let archived = read_digests(connection, batch, &[stream_id]).await?;
    let conflicting = archived.into_iter().filter(|(number, digest)| batch.record(*number).digest != *digest);
    Ok(conflicting.map(|(number, _)| number).min())
}

/// Returns the part of the new numbers of a batch that other streams of its epoch do not have with the same digest. A
/// spool that has taken another name sends records again that it had sent under the old one.
pub(super) async fn without_archived(
    connection: &mut Connection,
    batch: &Batch,
    new_ranges: Vec<RangeInclusive<u64>>,
    siblings: &[i64],
) -> sqlx::Result<Vec<RangeInclusive<u64>>> {
    if siblings.is_empty() || new_ranges.is_empty() {
        return Ok(new_ranges);
    }
    let archived = read_digests(connection, batch, siblings).await?;
    let same = archived.into_iter().filter(|(number, digest)| batch.record(*number).digest == *digest);
    let known: BTreeSet<u64> = same.map(|(number, _)| number).collect();
    let mut rest = Watermark::default();
    for number in new_ranges.into_iter().flatten().filter(|number| !known.contains(number)) {
        rest.insert(number..=number);
    }
    Ok(rest.ranges().to_vec())
}

/// Returns the numbers of a batch that some streams have, with the digests of their frames.
async fn read_digests(
    connection: &mut Connection,
    batch: &Batch,
    streams: &[i64],
) -> sqlx::Result<Vec<(u64, u32)>> {
    let ids: Vec<_> = streams.iter().map(|id| [id]).collect();
    // A run that begins earlier than `$4` ends before the batch.
    let select = format!(
        "SELECT r.first_number + (f.id - r.id), f.digest FROM runs AS r CROSS JOIN frames AS f \
         WHERE r.stream_id IN (SELECT CAST(q.value ->> 0 AS bigint) FROM {JSON_ROWS} AS q) \
         AND r.first_number > $4 AND r.first_number <= $3 AND f.id >= r.id AND f.id < r.id + r.length \
         AND r.first_number + (f.id - r.id) BETWEEN $2 AND $3"
    );
    let first_number = batch.first_number.cast_signed();
    let rows: Vec<(i64, i64)> = sqlx::query_as(AssertSqlSafe(select))
        .bind(json!(ids).to_string())
        .bind(first_number)
        .bind(batch.last_number().cast_signed())
        .bind(first_number - MAX_RUN_FRAMES)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|(number, digest)| (number.cast_unsigned(), digest as u32)).collect())
}
