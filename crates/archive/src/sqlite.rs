//! The SQLite backend: one connection that writes and several that read, on a write-ahead log that is synced
//! at every commit.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Pool, Row as _, Sqlite, SqliteConnection,
    query_builder::QueryBuilder,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::store::{NewRow, Store, new_migration};
use crate::{ArchiveError, Settings, backend::Backend as _, error::ErrorKind, files::DatabaseFiles};

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

/// The error code `SQLITE_READONLY_DBMOVED`.
const FILE_MOVED: u32 = 1032;

/// Opens or creates the database file.
pub(crate) async fn open(path: &str, settings: &Settings) -> Result<Store, ArchiveError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(settings.acquire_timeout)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENT_CACHE_CAPACITY);
    let writer_options = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // A transaction queues behind all others of this process; the time for the lock itself is for other
    // processes.
    let acquire_timeout = settings.acquire_timeout + Duration::from_secs(30);
    let writer = open_pool(path, writer_options.clone(), 1, acquire_timeout).await?;
    // The connection is replaced after a failure. It must not create an empty database if the file is missing.
    writer.set_connect_options(writer_options.create_if_missing(false));
    let migrations = vec![
        new_migration(1, "archive", include_str!("../migrations/sqlite/0001_archive.sql")),
        new_migration(2, "senders", include_str!("../migrations/sqlite/0002_senders.sql")),
        new_migration(3, "arrival", include_str!("../migrations/sqlite/0003_arrival.sql")),
    ];
    store::migrate_schema(path, &writer, migrations).await?;
    let readers =
        open_pool(path, options.read_only(true), settings.max_connections.max(1), acquire_timeout).await?;
    let files = DatabaseFiles::record(Path::new(path))
        .map_err(|error| ArchiveError::Unreachable { place: path.to_owned(), cause: error.to_string() })?;
    let store = Store { location: path.to_owned(), writer, readers, files: Some(Arc::new(files)) };
    // A connection that has read keeps the log open. Otherwise SQLite would delete the log whenever the writer's
    // connection is replaced.
    store.check_read().await?;
    Ok(store)
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
        match code.parse::<u32>().unwrap_or(0) {
            FILE_MOVED => ErrorKind::Replaced,
            code => match code & 0xff {
                8 | 14 => ErrorKind::Unreachable,
                5 | 6 => ErrorKind::Locked,
                10 => ErrorKind::DiskFailed,
                13 => ErrorKind::Full,
                11 | 26 => ErrorKind::Corrupt,
                _ => ErrorKind::Other,
            },
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
    use std::{fs, path::PathBuf};

    use lopside_delivery::Class;
    use tempfile::TempDir;

    use super::*;
    use crate::{Batch, NewRecord, SweepReport};

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

    async fn new_store() -> (TempDir, PathBuf, Store) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.db");
        let store = open(&path.display().to_string(), &Settings::default()).await.unwrap();
        (folder, path, store)
    }

    async fn apply_all(store: &Store) {
        let outcomes = store.apply(&[batch()], 0).await.unwrap();
        let outcome = outcomes[0].as_ref().unwrap().applied;
        assert_eq!(outcome.applied + outcome.replayed, 10);
    }

    /// Executes a pragma on the connection that writes; it ends with this connection.
    async fn set_pragma(store: &Store, pragma: &'static str) {
        sqlx::query(pragma).execute(&store.writer).await.unwrap();
    }

    /// Calls `hook` at the commits of the connection that writes. If it returns false, SQLite rolls back, and the
    /// commit fails as on a full disk.
    async fn hook_commits(store: &Store, hook: impl FnMut() -> bool + Send + 'static) {
        let mut connection = store.writer.acquire().await.unwrap();
        connection.lock_handle().await.unwrap().set_commit_hook(hook);
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_and_leaves_nothing_half_done() {
        let (_folder, _path, store) = new_store().await;
        set_pragma(&store, "PRAGMA max_page_count = 100").await;
        let error = store.apply(&[batch()], 0).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(store.devices().await.unwrap(), []);
        apply_all(&store).await;
        assert_eq!(store.devices().await.unwrap()[0].frames, 10);
    }

    #[tokio::test]
    async fn a_file_that_was_read_only_for_a_while_is_written_again() {
        let (_folder, _path, store) = new_store().await;
        set_pragma(&store, "PRAGMA query_only = 1").await;
        let error = store.apply(&[batch()], 0).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Unreachable { .. }), "{error}");
        apply_all(&store).await;
        set_pragma(&store, "PRAGMA query_only = 1").await;
        store.check_write(0).await.unwrap_err();
        store.check_write(0).await.unwrap();
    }

    #[tokio::test]
    async fn a_commit_that_failed_does_not_block_later_ones() {
        let (_folder, _path, store) = new_store().await;
        hook_commits(&store, || false).await;
        store.apply(&[batch()], 0).await.unwrap_err();
        apply_all(&store).await;
        hook_commits(&store, || false).await;
        store.register_connection("gate", 0).await.unwrap_err();
        assert_eq!(store.register_connection("gate", 0).await.unwrap(), 1);
        hook_commits(&store, || false).await;
        store.delete(1).await.unwrap_err();
        assert!(store.delete(1).await.unwrap());
        hook_commits(&store, || false).await;
        store.sweep(i64::MAX, 0).await.unwrap_err();
        let rest = SweepReport { frames: 9, bytes: 900_000 };
        assert_eq!(store.sweep(i64::MAX, 0).await.unwrap(), rest);
        hook_commits(&store, || false).await;
        store.check_write(0).await.unwrap_err();
        store.check_write(0).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_deleted_during_a_commit_is_noticed() {
        let (_folder, path, store) = new_store().await;
        hook_commits(&store, move || fs::remove_file(&path).is_ok()).await;
        let error = store.apply(&[batch()], 0).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Replaced { .. }), "{error}");
    }
}
