use sqlx::{Pool, Row as _};

use super::{
    super::{Db, read_size},
    read,
};
use crate::quota::{ArchiveUsage, DeviceUsage};

/// Returns what the archive and its devices occupy.
pub(super) async fn read_usage(readers: &Pool<Db>) -> sqlx::Result<ArchiveUsage> {
    let mut connection = readers.acquire().await?;
    let rows = sqlx::query(
        "SELECT d.id, d.frames, d.bytes, d.runs, d.text_bytes, \
         (SELECT r.received_us FROM runs AS r WHERE r.device_id = d.id ORDER BY r.received_us LIMIT 1) \
         FROM devices AS d WHERE d.frames > 0 ORDER BY d.id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let devices = rows.iter().map(|row| {
        Ok(DeviceUsage {
            id: row.try_get(0)?,
            frames: read::read_unsigned(row, 1)?,
            bytes: read::read_stored_bytes(row, 1)?,
            // A sweep of another server may have deleted the last frame meanwhile.
            oldest_us: row.try_get::<Option<i64>, _>(5)?.unwrap_or(i64::MAX),
        })
    });
    let devices = devices.collect::<sqlx::Result<Vec<_>>>()?;
    let mut usage = ArchiveUsage { size_bytes: 0, devices };
    usage.size_bytes = read_size(&mut connection, usage.stored_bytes()).await?;
    Ok(usage)
}
