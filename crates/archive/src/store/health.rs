use sqlx::Pool;

use super::{super::Db, Connection};

/// Reads a page of the file, or queries the server.
pub(super) async fn read_check(readers: &Pool<Db>) -> sqlx::Result<()> {
    sqlx::query("SELECT id FROM devices LIMIT 1").execute(readers).await.map(drop)
}

/// Writes a row that exists for this purpose.
pub(super) async fn write_check(connection: &mut Connection, now_us: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE write_checks SET checked_us = $1").bind(now_us).execute(connection).await.map(drop)
}
