//! The operations that both backends share.
//!
//! This module is compiled once per backend. Its parent module provides the database's type, the SQL
//! fragments in which the two differ, and the function that inserts frames. Lists are passed to the database
//! as JSON, with one array per element.

use std::sync::Arc;

use async_trait::async_trait;
use lopside_delivery::Class;
use sqlx::{
    Database, Pool, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use self::transaction::WriteTransaction;
use super::{Db, classify_error, excess_pages, release_pages};
use crate::{
    ArchiveError, ArchiveIdentity, ArchiveSummary, AuditEntry, AuditEvent, AuditReport, DeletedFrames,
    Device, Frame, FrameMeta, FrameQuery, FramesSince, HeadKey, KnownNumbers, LatentSpaceKey, NewRecord,
    NewScore, UnscoredFrame,
    backend::{Backend, GroupOutcome, WriteGroup},
    files::DatabaseFiles,
    quota::{ArchiveUsage, Eviction},
};

mod apply;
mod audit;
mod conflicts;
mod connections;
mod device_page;
mod devices;
mod epochs;
mod group;
mod health;
mod identity;
mod lanes;
mod list;
mod losses;
mod marks;
mod read;
mod retention;
mod runs;
mod scores;
mod sources;
mod streams;
mod summary;
mod transaction;
mod usage;

type Connection = <Db as Database>::Connection;
type Row = <Db as Database>::Row;

/// A frame to insert.
pub(super) struct NewRow<'a> {
    pub(super) id: i64,
    /// The time by which the frame is listed, in milliseconds since 1970.
    pub(super) time_ms: i64,
    /// The time of capture, unless it follows from the other times.
    pub(super) captured_us: Option<i64>,
    pub(super) record: &'a NewRecord,
}

/// An open database.
pub(crate) struct Store {
    /// Location of the database, without secrets.
    pub(super) location: String,
    pub(super) writer: Pool<Db>,
    pub(super) readers: Pool<Db>,
    pub(super) identity: ArchiveIdentity,
    /// The files of the database; `None` if a server stores them.
    pub(super) files: Option<Arc<DatabaseFiles>>,
}

/// Creates a migration of the schema.
pub(super) fn new_migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// Brings the schema up to date, counts the opening, and returns the identity of the archive.
pub(super) async fn prepare_database(
    location: &str,
    pool: &Pool<Db>,
    migrations: Vec<Migration>,
) -> Result<ArchiveIdentity, ArchiveError> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    Migrator::with_migrations(migrations).run(pool).await.map_err(|error| match error {
        MigrateError::Execute(error) => classify_error(location, "update its schema", &error),
        MigrateError::VersionMissing(found) => {
            ArchiveError::TooNew { place: location.to_owned(), found, known }
        }
        error => ArchiveError::Corrupt { place: location.to_owned(), cause: error.to_string() },
    })?;
    identity::count_opening(location, pool).await
}

/// Checks the chain of the audit log over a connection of its own.
pub(super) async fn verify_audit(
    location: &str,
    connection: &mut Connection,
) -> Result<AuditReport, ArchiveError> {
    let report = audit::verify(connection).await;
    report.map_err(|error| classify_error(location, "verify its audit log", &error))
}

impl Store {
    /// Converts an error of sqlx; `operation` names the operation that failed.
    ///
    /// If the files were moved at the same time, SQLite reports whatever it met first, such as a failed disk. The
    /// files are therefore looked up again before the error is named.
    async fn explain<T>(&self, operation: &'static str, result: sqlx::Result<T>) -> Result<T, ArchiveError> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => classify_error(&self.location, operation, &error),
        };
        self.check_files().await?;
        Err(error)
    }

    async fn begin(&self, operation: &'static str) -> Result<WriteTransaction<'_>, ArchiveError> {
        WriteTransaction::begin(self, operation).await
    }

    /// Refuses to continue if the paths of the database no longer name the open files.
    async fn check_files(&self) -> Result<(), ArchiveError> {
        let Some(files) = self.files.clone() else { return Ok(()) };
        let inspection = tokio::task::spawn_blocking(move || files.find_change());
        // The task fails if the runtime is stopping.
        match inspection.await.map_err(|_| ArchiveError::Closed)? {
            None => Ok(()),
            // SQLite deletes its log when the last connection is closed.
            Some(_) if self.writer.is_closed() => Err(ArchiveError::Closed),
            Some(cause) => Err(ArchiveError::Replaced { place: self.location.clone(), cause }),
        }
    }
}

#[async_trait]
impl Backend for Store {
    fn identity(&self) -> ArchiveIdentity {
        self.identity
    }

    async fn write(&self, group: WriteGroup<'_>, now_us: i64) -> Result<GroupOutcome, ArchiveError> {
        let mut transaction = self.begin("store what devices have sent").await?;
        let outcome = group::write_group(&mut transaction, group, now_us).await;
        transaction.finish(outcome).await
    }

    async fn known_numbers(
        &self,
        device: &str,
        spool: u32,
        lanes: &[(Class, u64)],
    ) -> Result<Vec<KnownNumbers>, ArchiveError> {
        // The device deletes its records with these numbers, so they must not be those of another file.
        self.check_files().await?;
        let known = read::known_numbers(&self.readers, device, spool, lanes).await;
        let known = self.explain("look up record numbers", known).await?;
        self.check_files().await?;
        Ok(known)
    }

    async fn devices(&self) -> Result<Vec<Device>, ArchiveError> {
        let result = read::devices(&self.readers).await;
        self.explain("list devices", result).await
    }

    async fn devices_after(&self, name: &str, limit: u32) -> Result<Vec<Device>, ArchiveError> {
        let result = read::devices_after(&self.readers, name, limit).await;
        self.explain("list devices", result).await
    }

    async fn summarise(&self, silent_before_us: i64) -> Result<ArchiveSummary, ArchiveError> {
        let result = summary::summarise(&self.readers, silent_before_us).await;
        self.explain("count its frames", result).await
    }

    async fn list_frames(&self, query: &FrameQuery) -> Result<Vec<FrameMeta>, ArchiveError> {
        let result = list::list_frames(&self.readers, query).await;
        self.explain("list frames", result).await
    }

    async fn read_frame(&self, id: i64) -> Result<Option<Frame>, ArchiveError> {
        let result = list::read_frame(&self.readers, id).await;
        self.explain("read a frame", result).await
    }

    async fn read_frame_bytes(&self, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, ArchiveError> {
        let result = list::read_frame_bytes(&self.readers, ids).await;
        self.explain("read frames", result).await
    }

    async fn frames_since(
        &self,
        id: i64,
        device: Option<&str>,
        limit: u32,
    ) -> Result<FramesSince, ArchiveError> {
        let result = list::frames_since(&self.readers, id, device, limit).await;
        self.explain("list new frames", result).await
    }

    async fn delete(&self, id: i64) -> Result<bool, ArchiveError> {
        let mut transaction = self.begin("delete a frame").await?;
        let is_deleted = retention::delete(&mut transaction, id).await;
        transaction.finish(is_deleted).await
    }

    async fn unscored_frames(
        &self,
        head: &HeadKey,
        spaces: &[LatentSpaceKey],
        limit: u32,
    ) -> Result<Vec<UnscoredFrame>, ArchiveError> {
        let result = scores::unscored_frames(&self.readers, head, spaces, limit).await;
        self.explain("find unscored frames", result).await
    }

    async fn put_scores(&self, head: &HeadKey, scores: &[NewScore]) -> Result<u64, ArchiveError> {
        let mut transaction = self.begin("store scores").await?;
        let updated_count = scores::put_scores(&mut transaction, head, scores).await;
        transaction.finish(updated_count).await
    }

    async fn usage(&self) -> Result<ArchiveUsage, ArchiveError> {
        let result = usage::read_usage(&self.readers).await;
        self.explain("measure its size", result).await
    }

    async fn delete_oldest(&self, eviction: &Eviction) -> Result<DeletedFrames, ArchiveError> {
        let mut transaction = self.begin("delete old frames").await?;
        let deleted = retention::delete_oldest(&mut transaction, eviction).await;
        transaction.finish(deleted).await
    }

    async fn release_space(&self) -> Result<bool, ArchiveError> {
        let operation = "give free space back";
        let mut reader = self.explain(operation, self.readers.acquire().await).await?;
        let excess = self.explain(operation, excess_pages(&mut reader).await).await?;
        drop(reader);
        if excess == 0 {
            return Ok(false);
        }
        let mut transaction = self.begin(operation).await?;
        let has_more = release_pages(&mut transaction, excess).await;
        transaction.finish(has_more).await
    }

    async fn append_audit(&self, event: &AuditEvent, now_us: i64) -> Result<AuditEntry, ArchiveError> {
        let mut transaction = self.begin("add to its audit log").await?;
        let entry = audit::append(&mut transaction, event, now_us).await;
        transaction.finish(entry).await
    }

    async fn list_audit(&self, before: u64, limit: u32) -> Result<Vec<AuditEntry>, ArchiveError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let result = audit::list(&self.readers, before, i64::from(limit)).await;
        self.explain("list its audit log", result).await
    }

    async fn check_read(&self) -> Result<(), ArchiveError> {
        self.check_files().await?;
        let result = health::read_check(&self.readers).await;
        self.explain("answer", result).await
    }

    async fn check_write(&self, now_us: i64) -> Result<(), ArchiveError> {
        let mut transaction = self.begin("store anything").await?;
        let written = health::write_check(&mut transaction, now_us).await;
        transaction.finish(written).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
