//! The SQLite backend: one connection that writes and several that read, on a write-ahead log that is synced
//! at every commit.

use std::time::Duration;

use sqlx::{
    Pool, Row as _, Sqlite, SqliteConnection,
    query_builder::QueryBuilder,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::store::{NewRow, Store, new_migration};
use crate::{ArchiveError, Settings, error::ErrorKind};

// The module is compiled once per backend on purpose.
#[allow(clippy::duplicate_mod)]
#[path = "store/mod.rs"]
mod store;

type Db = Sqlite;

/// A transaction that will write takes the lock at its start: SQLite may refuse one that reads before it
/// writes.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// SQL for the elements of the JSON list `$1`, as the column `value`.
const JSON_ROWS: &str = "json_each($1)";
const ROW_LOCK: &str = "";
const ROW_LOCK_SKIPPING: &str = "";

/// Rows per statement. Each statement is a round trip to the connection's thread, which takes longer than
/// inserting a row.
const ROWS_PER_STATEMENT: usize = 64;
/// Capacity of the cache of prepared statements: each number of rows needs its own statement.
const STATEMENT_CACHE_CAPACITY: usize = 2 * ROWS_PER_STATEMENT;

/// Opens or creates the database file.
pub(crate) async fn open(path: &str, settings: &Settings) -> Result<Store, ArchiveError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(settings.acquire_timeout)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENT_CACHE_CAPACITY);
    let writer = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // A transaction queues behind all others of this process; the time for the lock itself is for other
    // processes.
    let acquire_timeout = settings.acquire_timeout + Duration::from_secs(30);
    let writer = open_pool(path, writer, 1, acquire_timeout).await?;
    let migrations = vec![
        new_migration(1, "archive", include_str!("../migrations/sqlite/0001_archive.sql")),
        new_migration(2, "senders", include_str!("../migrations/sqlite/0002_senders.sql")),
    ];
    store::migrate_schema(path, &writer, migrations).await?;
    let readers =
        open_pool(path, options.read_only(true), settings.max_connections.max(1), acquire_timeout).await?;
    Ok(Store { location: path.to_owned(), writer, readers })
}

async fn open_pool(
    path: &str,
    options: SqliteConnectOptions,
    max_connections: u32,
    acquire_timeout: Duration,
) -> Result<Pool<Db>, ArchiveError> {
    let pool = SqlitePoolOptions::new()
        .acquire_timeout(acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .max_connections(max_connections)
        .connect_with(options)
        .await;
    pool.map_err(|error| classify_error(path, "open its file", &error))
}

fn classify_error(location: &str, operation: &'static str, error: &sqlx::Error) -> ArchiveError {
    ArchiveError::from_sqlx(location, operation, error, |code| {
        // The low byte is the kind of the error; the higher bits are details.
        match code.parse::<u32>().unwrap_or(0) & 0xff {
            8 | 14 => ErrorKind::Unreachable,
            5 | 6 => ErrorKind::Locked,
            13 => ErrorKind::Full,
            11 | 26 => ErrorKind::Corrupt,
            _ => ErrorKind::Other,
        }
    })
}

/// Inserts frames, and returns the stream, number and id of each.
async fn insert_frames(
    connection: &mut SqliteConnection,
    rows: &[NewRow<'_>],
) -> sqlx::Result<Vec<(i64, i64, i64)>> {
    let mut ids = Vec::with_capacity(rows.len());
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO frames (device_id, stream_id, number, captured_us, received_us, source, digest, \
             latent_space, trace, frame) ",
        );
        insert.push_values(rows, |mut values, row| {
            values
                .push_bind(row.device_id)
                .push_bind(row.stream_id)
                .push_bind(row.number)
                .push_bind(row.record.captured_us)
                .push_bind(row.received_us)
                .push_bind(&row.record.source)
                .push_bind(i64::from(row.record.digest))
                .push_bind(i64::from_be_bytes(row.record.latent_space))
                .push_bind(&row.record.trace)
                .push_bind(&row.record.frame);
        });
        insert.push(" RETURNING stream_id, number, id");
        for row in insert.build().fetch_all(&mut *connection).await? {
            ids.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use lopside_delivery::Class;

    use super::*;
    use crate::{Batch, NewRecord, backend::Backend as _};

    fn batch() -> Batch {
        let record = NewRecord {
            captured_us: 0,
            source: "camera".into(),
            digest: 0,
            latent_space: [0; 8],
            trace: None,
            frame: vec![0; 100_000],
        };
        let device = "gate".to_owned();
        Batch { records: vec![record; 10], ..Batch::new(&device, 1, Class::Normal, 1) }
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_and_leaves_nothing_half_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.db").display().to_string();
        let store = open(&path, &Settings::default()).await.unwrap();
        let limit = async |pages: &'static str| sqlx::query(pages).execute(&store.writer).await.unwrap();
        limit("PRAGMA max_page_count = 100").await;
        let error = store.apply(&[batch()], 0).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(store.devices().await.unwrap(), []);
        limit("PRAGMA max_page_count = 100000").await;
        let outcomes = store.apply(&[batch()], 0).await.unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().applied.applied, 10);
    }
}
