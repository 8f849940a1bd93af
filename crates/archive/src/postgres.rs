//! The PostgreSQL backend: a pool of connections. Several servers may use one database.

use std::future::{Ready, ready};

use sqlx::{
    Connection as _, PgConnection, Postgres,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use self::store::{NewRow, Store, new_migration};
use crate::{ArchiveError, AuditReport, Settings, error::ErrorKind};

// The module is compiled once per backend on purpose.
#[allow(clippy::duplicate_mod)]
#[path = "store/mod.rs"]
mod store;

type Db = Postgres;

const BEGIN: &str = "BEGIN";
/// Begins a transaction whose queries all see the same state.
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// SQL for the elements of the JSON list `$1`, as the column `value`.
const JSON_ROWS: &str = "json_array_elements($1::json)";
/// SQL that locks the selected rows against other servers until the commit.
const ROW_LOCK: &str = "FOR NO KEY UPDATE";
/// SQL that locks the selected rows, and skips rows that another server has locked.
const ROW_LOCK_SKIPPING: &str = "FOR UPDATE SKIP LOCKED";
/// The columns by which a source is unique. An index cannot hold long texts.
const SOURCE_KEY: &str = "device_id, md5(text)";
/// Bytes that a frame occupies in addition to its own and those of its trace: its row, its score, and their entries in
/// the indices. They were computed from the formats of rows and index entries, and are too many for a frame without a
/// score.
const FRAME_OVERHEAD_BYTES: u64 = 220;
/// Bytes that a run occupies: its row, and its entries in the indices.
const RUN_OVERHEAD_BYTES: u64 = 320;
/// Bytes that the mark of a frame occupies: its row, and its entries in the indices.
const MARK_OVERHEAD_BYTES: u64 = 120;

/// Connects to the database.
pub(crate) async fn open(url: &str, settings: &Settings) -> Result<Store, ArchiveError> {
    let (options, place) = parse_url(url)?;
    let pool = PgPoolOptions::new()
        .acquire_timeout(settings.acquire_timeout)
        .max_connections(settings.max_connections.max(2))
        .connect_with(options)
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
        new_migration(4, "spools", include_str!("../migrations/postgres/0004_spools.sql")),
        new_migration(5, "audit", include_str!("../migrations/postgres/0005_audit.sql")),
        new_migration(6, "runs", include_str!("../migrations/postgres/0006_runs.sql")),
        new_migration(7, "marks", include_str!("../migrations/postgres/0007_marks.sql")),
    ];
    let identity = store::prepare_database(&place, &pool, migrations).await?;
    Ok(Store { location: place, writer: pool.clone(), readers: pool, identity, files: None })
}

/// Checks the audit log of a database, which is not changed.
pub(crate) async fn verify_audit(url: &str) -> Result<AuditReport, ArchiveError> {
    let (options, place) = parse_url(url)?;
    let connection = PgConnection::connect_with(&options).await;
    let mut connection = connection.map_err(|error| classify_error(&place, "connect", &error))?;
    store::verify_audit(&place, &mut connection).await
}

/// Returns the options of an address, and the location of its database without secrets.
fn parse_url(url: &str) -> Result<(PgConnectOptions, String), ArchiveError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| ArchiveError::InvalidUrl { url: "postgres://…".into() })?;
    let host = options.get_socket().map_or_else(|| options.get_host().into(), |path| path.to_string_lossy());
    let place = format!("{} on {host}", options.get_database().unwrap_or_default());
    Ok((options.application_name("lopside"), place))
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

/// Returns ids for new frames, in ascending order. They were never used before.
async fn next_frame_ids(connection: &mut PgConnection, count: usize) -> sqlx::Result<Vec<i64>> {
    let mut ids: Vec<i64> = sqlx::query_scalar("SELECT nextval('frame_ids') FROM generate_series(1, $1)")
        .bind(count as i64)
        .fetch_all(connection)
        .await?;
    ids.sort_unstable();
    Ok(ids)
}

async fn insert_frames(connection: &mut PgConnection, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO frames (id, time_ms, digest, captured_us, trace, frame) \
         SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[])",
    )
    .bind(rows.iter().map(|row| row.id).collect::<Vec<i64>>())
    .bind(rows.iter().map(|row| row.time_ms).collect::<Vec<i64>>())
    .bind(rows.iter().map(|row| i64::from(row.record.digest.cast_signed())).collect::<Vec<i64>>())
    .bind(rows.iter().map(|row| row.captured_us).collect::<Vec<Option<i64>>>())
    .bind(rows.iter().map(|row| row.record.trace.as_deref()).collect::<Vec<Option<&str>>>())
    .bind(rows.iter().map(|row| &*row.record.frame).collect::<Vec<&[u8]>>())
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the bytes of the tables and their indices, but not more than the bytes that the rows need: the server uses the
/// space of deleted rows again, but does not give it back.
async fn read_size(connection: &mut PgConnection, stored_bytes: u64) -> sqlx::Result<u64> {
    let size: i64 = sqlx::query_scalar(
        "SELECT CAST(SUM(pg_total_relation_size(name)) AS bigint) FROM UNNEST(ARRAY['audit', 'devices', 'frames', \
         'heads', 'losses', 'marks', 'runs', 'scores', 'sources', 'streams']::regclass[]) AS name",
    )
    .fetch_one(connection)
    .await?;
    Ok(size.cast_unsigned().min(stored_bytes))
}

/// Returns 0: the server decides by itself when it gives space back.
fn excess_pages(_connection: &mut PgConnection) -> Ready<sqlx::Result<i64>> {
    ready(Ok(0))
}

fn release_pages(_connection: &mut PgConnection, _excess: i64) -> Ready<sqlx::Result<bool>> {
    ready(Ok(false))
}
