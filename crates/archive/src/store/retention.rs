use std::collections::BTreeMap;

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{
    super::{JSON_ROWS, ROW_LOCK, ROW_LOCK_SKIPPING},
    Connection,
};
use crate::SweepReport;

/// Frames per transaction, so that other transactions do not wait long for its end.
const FRAMES_PER_SWEEP: i64 = 500;

/// A deleted frame: its device's id, and its bytes.
type DeletedFrame = (i64, i64);

pub(super) async fn delete(connection: &mut Connection, id: i64) -> sqlx::Result<bool> {
    let deleted = delete_frames(connection, &[id]).await?;
    Ok(deleted.frames > 0)
}

/// Deletes some of the frames that arrived first. Their capture times do not count: they come from the clocks of
/// devices, which may be wrong by decades.
pub(super) async fn sweep(
    connection: &mut Connection,
    horizon_us: i64,
    max_bytes: u64,
) -> sqlx::Result<SweepReport> {
    let bytes: i64 = sqlx::query_scalar("SELECT CAST(COALESCE(SUM(bytes), 0) AS bigint) FROM devices")
        .fetch_one(&mut *connection)
        .await?;
    let mut excess = bytes.cast_unsigned().saturating_sub(max_bytes);
    let oldest = format!(
        "SELECT id, received_us, CAST(length(frame) AS bigint) FROM frames \
         ORDER BY received_us, id LIMIT {FRAMES_PER_SWEEP} {ROW_LOCK_SKIPPING}"
    );
    let oldest: Vec<(i64, i64, i64)> =
        sqlx::query_as(AssertSqlSafe(oldest)).fetch_all(&mut *connection).await?;
    let expired = oldest.into_iter().take_while(|(_, received_us, bytes)| {
        let is_expired = *received_us < horizon_us || excess > 0;
        excess = excess.saturating_sub(bytes.cast_unsigned());
        is_expired
    });
    let ids: Vec<i64> = expired.map(|(id, ..)| id).collect();
    delete_frames(connection, &ids).await
}

/// Deletes frames, and subtracts them from the counters of their devices.
async fn delete_frames(connection: &mut Connection, ids: &[i64]) -> sqlx::Result<SweepReport> {
    if ids.is_empty() {
        return Ok(SweepReport::default());
    }
    let ids: Vec<_> = ids.iter().map(|id| [id]).collect();
    let delete = format!(
        "DELETE FROM frames WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r) \
         RETURNING device_id, CAST(length(frame) AS bigint)"
    );
    let deleted: Vec<DeletedFrame> = sqlx::query_as(AssertSqlSafe(delete))
        .bind(json!(ids).to_string())
        .fetch_all(&mut *connection)
        .await?;
    subtract_counts(connection, &deleted).await?;
    let bytes = deleted.iter().map(|(_, bytes)| bytes.cast_unsigned()).sum();
    Ok(SweepReport { frames: deleted.len() as u64, bytes })
}

async fn subtract_counts(connection: &mut Connection, deleted: &[DeletedFrame]) -> sqlx::Result<()> {
    let mut counts = BTreeMap::<i64, (u64, i64)>::new();
    for (device, bytes) in deleted {
        let count = counts.entry(*device).or_default();
        *count = (count.0 + 1, count.1 + bytes);
    }
    let rows: Vec<_> = counts.into_iter().map(|(id, (frames, bytes))| (id, frames, bytes)).collect();
    let rows = json!(rows).to_string();
    let from_rows = format!("FROM {JSON_ROWS} AS r");
    let lock = format!(
        "SELECT id FROM devices WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) {from_rows}) ORDER BY id {ROW_LOCK}"
    );
    sqlx::query(AssertSqlSafe(lock)).bind(&rows).execute(&mut *connection).await?;
    let update = format!(
        "UPDATE devices SET frames = frames - CAST(r.value ->> 1 AS bigint), \
         bytes = bytes - CAST(r.value ->> 2 AS bigint) \
         {from_rows} WHERE devices.id = CAST(r.value ->> 0 AS bigint)"
    );
    sqlx::query(AssertSqlSafe(update)).bind(&rows).execute(connection).await?;
    Ok(())
}
