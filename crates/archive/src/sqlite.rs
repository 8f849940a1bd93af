//! The SQLite backend: one connection that writes and several that read, on a write-ahead log that is synced
//! at every commit.

use std::{fs, path::Path, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, Pool, Sqlite, SqliteConnection,
    query_builder::QueryBuilder,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

use self::store::{NewRow, Store, new_migration};
use crate::{
    ArchiveError, AuditReport, Settings, backend::Backend as _, error::ErrorKind, file_access,
    files::DatabaseFiles,
};

// The module is compiled once per backend on purpose.
#[allow(clippy::duplicate_mod)]
#[path = "store/mod.rs"]
mod store;

type Db = Sqlite;

/// A transaction that will write takes the lock at its start: SQLite may refuse one that reads before it
/// writes.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// Begins a transaction whose queries all see the same state.
const BEGIN_SNAPSHOT: &str = "BEGIN";
/// SQL for the elements of the JSON list `$1`, as the column `value`.
const JSON_ROWS: &str = "json_each($1)";
const ROW_LOCK: &str = "";
const ROW_LOCK_SKIPPING: &str = "";
/// The columns by which a source is unique.
const SOURCE_KEY: &str = "device_id, text";
/// Bytes that a frame occupies in addition to its own and those of its trace: its row, and its entry in the index by
/// time. They were measured for frames that are archived in the order of their capture, without scores.
const FRAME_OVERHEAD_BYTES: u64 = 40;
/// Bytes that a run occupies: its row, and its entries in the indices. They were measured as well.
const RUN_OVERHEAD_BYTES: u64 = 116;
/// Bytes that the mark of a frame occupies: its row, and its entry in the index of damaged inputs.
const MARK_OVERHEAD_BYTES: u64 = 30;

/// Rows per statement. Each statement is a round trip to the connection's thread, which takes longer than
/// inserting a row.
const ROWS_PER_STATEMENT: usize = 64;
/// Capacity of the cache of prepared statements: each number of rows needs its own statement.
const STATEMENT_CACHE_CAPACITY: usize = 2 * ROWS_PER_STATEMENT;

/// Maximum number of free pages that a transaction gives back to the file system. Each of them may have to be replaced by
/// a page from the end of the file.
const PAGES_PER_RELEASE: i64 = 1000;
/// The share of the pages that may stay free, for the next frames.
const KEPT_PAGES_DIVISOR: i64 = 16;
/// The value of `PRAGMA auto_vacuum` for a file that gives pages back when it is asked to.
const INCREMENTAL_VACUUM: i64 = 2;

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
    let mut first_options = writer_options.clone();
    if !fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        // Only a new file can be created so that it shrinks.
        first_options = first_options.auto_vacuum(SqliteAutoVacuum::Incremental);
    }
    let writer = open_pool(path, first_options, 1, acquire_timeout).await?;
    // The connection is replaced after a failure. It must not create an empty database if the file is missing.
    writer.set_connect_options(writer_options.create_if_missing(false));
    let migrations = vec![
        new_migration(1, "archive", include_str!("../migrations/sqlite/0001_archive.sql")),
        new_migration(2, "senders", include_str!("../migrations/sqlite/0002_senders.sql")),
        new_migration(3, "arrival", include_str!("../migrations/sqlite/0003_arrival.sql")),
        new_migration(4, "spools", include_str!("../migrations/sqlite/0004_spools.sql")),
        new_migration(5, "audit", include_str!("../migrations/sqlite/0005_audit.sql")),
        new_migration(6, "runs", include_str!("../migrations/sqlite/0006_runs.sql")),
        new_migration(7, "marks", include_str!("../migrations/sqlite/0007_marks.sql")),
    ];
    let identity = store::prepare_database(path, &writer, migrations).await?;
    let readers =
        open_pool(path, options.read_only(true), settings.max_connections.max(1), acquire_timeout).await?;
    let files = DatabaseFiles::record(Path::new(path))
        .map_err(|error| ArchiveError::Unreachable { place: path.to_owned(), cause: error.to_string() })?;
    let files = Some(Arc::new(files));
    let store = Store { location: path.to_owned(), writer, readers, identity, files };
    // A connection that has read keeps the log open. Otherwise SQLite would delete the log whenever the writer's
    // connection is replaced.
    store.check_read().await?;
    Ok(store)
}

/// Checks the audit log of a file, which is neither created nor changed.
pub(crate) async fn verify_audit(path: &str) -> Result<AuditReport, ArchiveError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let connection = SqliteConnection::connect_with(&options).await;
    let mut connection = connection.map_err(|error| classify_open_error(path, &error))?;
    store::verify_audit(path, &mut connection).await
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
    pool.map_err(|error| classify_open_error(path, &error))
}

/// Classifies an error at the opening of the file, of which SQLite does not give the cause.
fn classify_open_error(path: &str, error: &sqlx::Error) -> ArchiveError {
    let error = classify_error(path, "open its file", error);
    let is_unexplained = matches!(error, ArchiveError::Unreachable { .. });
    let obstacle = is_unexplained.then(|| file_access::find_obstacle(Path::new(path))).flatten();
    obstacle.map_or(error, |cause| ArchiveError::NotWritable { place: path.to_owned(), cause })
}

fn classify_error(location: &str, operation: &'static str, error: &sqlx::Error) -> ArchiveError {
    ArchiveError::from_sqlx(location, operation, error, |code| {
        // The low byte is the kind of the error; the higher bits are details.
        match code.parse::<u32>().unwrap_or(0) {
            FILE_MOVED => ErrorKind::Replaced,
            code => match code & 0xff {
                8 => ErrorKind::NotWritable,
                14 => ErrorKind::Unreachable,
                5 | 6 => ErrorKind::Locked,
                10 => ErrorKind::DiskFailed,
                13 => ErrorKind::Full,
                11 | 26 => ErrorKind::Corrupt,
                _ => ErrorKind::Other,
            },
        }
    })
}

/// Returns ids for new frames, in ascending order. They were never used before.
async fn next_frame_ids(connection: &mut SqliteConnection, count: usize) -> sqlx::Result<Vec<i64>> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'frames'")
            .fetch_optional(connection)
            .await?;
    let first = last.unwrap_or(0) + 1;
    Ok((first..first + count as i64).collect())
}

async fn insert_frames(connection: &mut SqliteConnection, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO frames (id, time_ms, digest, captured_us, trace, frame) ",
        );
        insert.push_values(rows, |mut values, row| {
            values
                .push_bind(row.id)
                .push_bind(row.time_ms)
                .push_bind(i64::from(row.record.digest.cast_signed()))
                .push_bind(row.captured_us)
                .push_bind(&row.record.trace)
                .push_bind(&*row.record.frame);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Returns the bytes of the pages that are in use. Free pages are used for the next frames.
async fn read_size(connection: &mut SqliteConnection, _stored_bytes: u64) -> sqlx::Result<u64> {
    let size: i64 = sqlx::query_scalar(
        "SELECT (p.page_count - f.freelist_count) * s.page_size \
         FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s",
    )
    .fetch_one(connection)
    .await?;
    Ok(size.cast_unsigned())
}

/// Returns the number of free pages that can be given back to the file system.
async fn excess_pages(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    let (vacuum, pages, free): (i64, i64, i64) = sqlx::query_as(
        "SELECT v.auto_vacuum, p.page_count, f.freelist_count \
         FROM pragma_auto_vacuum AS v, pragma_page_count AS p, pragma_freelist_count AS f",
    )
    .fetch_one(connection)
    .await?;
    let excess = if vacuum == INCREMENTAL_VACUUM { free - pages / KEPT_PAGES_DIVISOR } else { 0 };
    Ok(excess.max(0))
}

/// Gives some of the excess pages back, and returns whether there are more.
async fn release_pages(connection: &mut SqliteConnection, excess: i64) -> sqlx::Result<bool> {
    let vacuum = format!("PRAGMA incremental_vacuum({})", excess.min(PAGES_PER_RELEASE));
    sqlx::query(AssertSqlSafe(vacuum)).persistent(false).execute(&mut *connection).await?;
    let rest = excess_pages(connection).await?;
    Ok(rest > 0 && rest < excess)
}

#[cfg(test)]
mod tests {
    use std::{
        iter,
        path::PathBuf,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use lopside_delivery::{Class, FrameMarks};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        Batch, DeletedFrames, NewConnection, NewRecord,
        backend::{GroupOutcome, WriteGroup},
        quota::Eviction,
    };

    fn batch() -> Batch {
        let record = NewRecord {
            captured_us: 0,
            source: "camera".into(),
            digest: 0,
            latent_space: [0; 8],
            trace: None,
            marks: FrameMarks::default(),
            frame: vec![0_u8; 100_000].into(),
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

    async fn write_batch(store: &Store) -> Result<GroupOutcome, ArchiveError> {
        store.write(WriteGroup { connections: &[], batches: &[batch()] }, 0).await
    }

    async fn register(store: &Store) -> Result<GroupOutcome, ArchiveError> {
        store.write(WriteGroup { connections: &[NewConnection::new("gate")], batches: &[] }, 0).await
    }

    async fn apply_all(store: &Store) {
        let outcome = write_batch(store).await.unwrap();
        let applied = outcome.batches[0].as_ref().unwrap().applied;
        assert_eq!(applied.applied + applied.replayed, 10);
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
        let error = write_batch(&store).await.unwrap_err();
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
        let error = write_batch(&store).await.unwrap_err();
        assert!(matches!(error, ArchiveError::NotWritable { .. }), "{error}");
        assert!(error.to_string().contains("mounted writable"), "{error}");
        apply_all(&store).await;
        set_pragma(&store, "PRAGMA query_only = 1").await;
        store.check_write(0).await.unwrap_err();
        store.check_write(0).await.unwrap();
    }

    #[tokio::test]
    async fn a_commit_that_failed_does_not_block_later_ones() {
        let (_folder, _path, store) = new_store().await;
        hook_commits(&store, || false).await;
        write_batch(&store).await.unwrap_err();
        apply_all(&store).await;
        hook_commits(&store, || false).await;
        register(&store).await.unwrap_err();
        assert_eq!(register(&store).await.unwrap().connections[0].number, 1);
        hook_commits(&store, || false).await;
        store.delete(1).await.unwrap_err();
        assert!(store.delete(1).await.unwrap());
        let device_id = store.usage().await.unwrap().devices[0].id;
        let eviction =
            Eviction { device_id, arrived_before_us: i64::MAX, max_frames: u64::MAX, max_bytes: u64::MAX };
        hook_commits(&store, || false).await;
        store.delete_oldest(&eviction).await.unwrap_err();
        let rest = store.delete_oldest(&eviction).await.unwrap();
        assert_eq!(rest, DeletedFrames { frames: 9, bytes: 900_000 });
        hook_commits(&store, || false).await;
        store.check_write(0).await.unwrap_err();
        store.check_write(0).await.unwrap();
    }

    #[tokio::test]
    async fn connections_and_batches_of_a_group_share_a_commit() {
        let (_folder, _path, store) = new_store().await;
        let commits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&commits);
        hook_commits(&store, move || {
            count.fetch_add(1, Ordering::Relaxed);
            true
        })
        .await;
        let connections: Vec<_> =
            (0..100).map(|device| NewConnection::new(&format!("device-{}", device % 40))).collect();
        let group = WriteGroup { connections: &connections, batches: &[batch(), batch()] };
        let outcome = store.write(group, 0).await.unwrap();
        let numbers: Vec<u64> = outcome.connections.iter().map(|connection| connection.number).collect();
        assert_eq!((numbers[0], numbers[40], numbers[80], numbers[99]), (1, 2, 3, 3));
        assert_eq!((outcome.batches.len(), store.devices().await.unwrap().len()), (2, 41));
        assert_eq!(commits.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_deleted_during_a_commit_is_noticed() {
        let (_folder, path, store) = new_store().await;
        hook_commits(&store, move || fs::remove_file(&path).is_ok()).await;
        let error = write_batch(&store).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Replaced { .. }), "{error}");
    }

    #[tokio::test]
    async fn files_that_move_under_a_statement_are_named_before_its_error() {
        let (folder, path, store) = new_store().await;
        let aside = folder.path().join("aside.db");
        let (from, to) = (path.clone(), aside.clone());
        hook_commits(&store, move || fs::rename(&from, &to).is_err()).await;
        let error = write_batch(&store).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Replaced { .. }), "{error}");
        // With all open connections in use, the next one finds no file to open.
        let held: Vec<_> = iter::from_fn(|| store.readers.try_acquire()).collect();
        let error = store.devices().await.unwrap_err();
        assert!(matches!(error, ArchiveError::Replaced { .. }), "{error}");
        fs::rename(&aside, &path).unwrap();
        drop(held);
        store.devices().await.unwrap();
        store.check_write(0).await.unwrap();
    }
}
