use sqlx::{Pool, Row as _};

use super::{
    super::{Db, read_size},
    read::{read_stored_bytes, read_unsigned},
};
use crate::ArchiveSummary;

/// Returns the sums over all devices. Devices whose last contact was before `silent_before_us` are silent.
pub(super) async fn summarise(readers: &Pool<Db>, silent_before_us: i64) -> sqlx::Result<ArchiveSummary> {
    let mut connection = readers.acquire().await?;
    let row = sqlx::query(
        "SELECT COUNT(*), \
         CAST(COALESCE(SUM(CASE WHEN last_seen_us < $1 THEN 1 ELSE 0 END), 0) AS bigint), \
         CAST(COALESCE(SUM(frames), 0) AS bigint), CAST(COALESCE(SUM(bytes), 0) AS bigint), \
         CAST(COALESCE(SUM(runs), 0) AS bigint), CAST(COALESCE(SUM(text_bytes), 0) AS bigint), \
         CAST(COALESCE(SUM(CASE WHEN conflicts > 0 THEN 1 ELSE 0 END), 0) AS bigint), \
         CAST(COALESCE(SUM(CASE WHEN alternations > 0 THEN 1 ELSE 0 END), 0) AS bigint), \
         CAST(COALESCE(SUM(CASE WHEN displaced > 0 THEN 1 ELSE 0 END), 0) AS bigint), \
         CAST(COALESCE(SUM(CASE WHEN lost > 0 THEN 1 ELSE 0 END), 0) AS bigint), \
         (SELECT r.received_us FROM runs AS r ORDER BY r.id DESC LIMIT 1) FROM devices",
    )
    .bind(silent_before_us)
    .fetch_one(&mut *connection)
    .await?;
    let disk_bytes = read_size(&mut connection, read_stored_bytes(&row, 2)?).await?;
    Ok(ArchiveSummary {
        devices: read_unsigned(&row, 0)?,
        silent: read_unsigned(&row, 1)?,
        frames: read_unsigned(&row, 2)?,
        bytes: read_unsigned(&row, 3)?,
        disk_bytes,
        conflicting: read_unsigned(&row, 6)?,
        alternating: read_unsigned(&row, 7)?,
        displaced: read_unsigned(&row, 8)?,
        losing: read_unsigned(&row, 9)?,
        newest_received_us: row.try_get(10)?,
    })
}
