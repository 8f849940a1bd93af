//! The PostgreSQL backend: a pool of connections. Several servers may use one database.

use sqlx::{
    PgConnection, Postgres, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use self::store::{NewRow, Store, new_migration};
use crate::{ArchiveError, Settings, error::ErrorKind};

// The module is compiled once per backend on purpose.
#[allow(clippy::duplicate_mod)]
#[path = "store/mod.rs"]
mod store;

type Db = Postgres;

const BEGIN: &str = "BEGIN";
/// SQL for the elements of the JSON list `$1`, as the column `value`.
const JSON_ROWS: &str = "json_array_elements($1::json)";
/// SQL that locks the selected rows against other servers until the commit.
const ROW_LOCK: &str = "FOR NO KEY UPDATE";
/// SQL that locks the selected rows, and skips rows that another server has locked.
const ROW_LOCK_SKIPPING: &str = "FOR UPDATE SKIP LOCKED";

/// Connects to the database.
pub(crate) async fn open(url: &str, settings: &Settings) -> Result<Store, ArchiveError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| ArchiveError::InvalidUrl { url: "postgres://…".into() })?;
    // The host and the name, without a password.
    let host = options.get_socket().map_or_else(|| options.get_host().into(), |path| path.to_string_lossy());
    let place = format!("{} on {host}", options.get_database().unwrap_or_default());
    let pool = PgPoolOptions::new()
        .acquire_timeout(settings.acquire_timeout)
        .max_connections(settings.max_connections.max(2))
        .connect_with(options.application_name("lopside"))
        .await
        .map_err(|error| match classify_error(&place, "connect", &error) {
            // The new pool does not have other users, so a timeout means that the server did not answer.
            ArchiveError::Locked { place, cause } => ArchiveError::Unreachable { place, cause },
            error => error,
        })?;
    let migrations = vec![
        new_migration(1, "archive", include_str!("../migrations/postgres/0001_archive.sql")),
        new_migration(2, "senders", include_str!("../migrations/postgres/0002_senders.sql")),
        new_migration(3, "arrival", include_str!("../migrations/postgres/0003_arrival.sql")),
    ];
    store::migrate_schema(&place, &pool, migrations).await?;
    Ok(Store { location: place, writer: pool.clone(), readers: pool, files: None })
}

fn classify_error(location: &str, operation: &'static str, error: &sqlx::Error) -> ArchiveError {
    // Classes are the first two characters: https://www.postgresql.org/docs/current/errcodes-appendix.html
    ArchiveError::from_sqlx(location, operation, error, |code| match code {
        "53100" => ErrorKind::Full,
        "58030" => ErrorKind::DiskFailed,
        "53300" | "55P03" => ErrorKind::Locked,
        "XX001" | "XX002" => ErrorKind::Corrupt,
        // Among them is a server that has become read-only.
        "25006" | "3D000" | "57P01" | "57P02" | "57P03" => ErrorKind::Unreachable,
        code if code.starts_with("08") || code.starts_with("28") => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    })
}

/// Inserts frames, and returns the stream, number and id of each.
async fn insert_frames(
    connection: &mut PgConnection,
    rows: &[NewRow<'_>],
) -> sqlx::Result<Vec<(i64, i64, i64)>> {
    let inserted = sqlx::query(
        "INSERT INTO frames (device_id, stream_id, number, captured_us, received_us, source, digest, \
         latent_space, trace, frame) \
         SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], \
         $7::bigint[], $8::bigint[], $9::text[], $10::bytea[]) \
         RETURNING stream_id, number, id",
    )
    .bind(collect_column(rows, |row| row.device_id))
    .bind(collect_column(rows, |row| row.stream_id))
    .bind(collect_column(rows, |row| row.number))
    .bind(collect_column(rows, |row| row.record.captured_us))
    .bind(collect_column(rows, |row| row.received_us))
    .bind(rows.iter().map(|row| row.record.source.as_str()).collect::<Vec<_>>())
    .bind(collect_column(rows, |row| i64::from(row.record.digest)))
    .bind(collect_column(rows, |row| i64::from_be_bytes(row.record.latent_space)))
    .bind(rows.iter().map(|row| row.record.trace.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.record.frame.as_slice()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    inserted.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

fn collect_column(rows: &[NewRow<'_>], column: fn(&NewRow<'_>) -> i64) -> Vec<i64> {
    rows.iter().map(column).collect()
}
