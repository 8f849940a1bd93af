//! The operations that both backends share.
//!
//! This module is compiled once per backend. Its parent module provides the database's type, the SQL
//! fragments in which the two differ, and the function that inserts frames. Lists are passed to the database
//! as JSON, with one array per element.

use std::{ops::RangeInclusive, sync::Arc};

use async_trait::async_trait;
use lopside_delivery::Class;
use sqlx::{
    Database, Pool, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use self::transaction::WriteTransaction;
use super::{Db, classify_error};
use crate::{
    ArchiveError, Batch, Device, Frame, FrameMeta, FrameQuery, FramesSince, HeadKey, LatentSpaceKey,
    NewRecord, NewScore, SweepReport, UnscoredFrame,
    backend::{Backend, CommittedBatch},
    files::DatabaseFiles,
};

mod apply;
mod health;
mod list;
mod read;
mod retention;
mod scores;
mod transaction;

type Connection = <Db as Database>::Connection;
type Row = <Db as Database>::Row;

/// A frame to insert.
pub(super) struct NewRow<'a> {
    pub(super) device_id: i64,
    pub(super) stream_id: i64,
    pub(super) number: i64,
    pub(super) received_us: i64,
    pub(super) record: &'a NewRecord,
}

/// An open database.
pub(crate) struct Store {
    /// Location of the database, without secrets.
    pub(super) location: String,
    pub(super) writer: Pool<Db>,
    pub(super) readers: Pool<Db>,
    /// The files of the database; `None` if a server stores them.
    pub(super) files: Option<Arc<DatabaseFiles>>,
}

/// Creates a migration of the schema.
pub(super) fn new_migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// Brings the schema up to date.
pub(super) async fn migrate_schema(
    location: &str,
    pool: &Pool<Db>,
    migrations: Vec<Migration>,
) -> Result<(), ArchiveError> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    Migrator::with_migrations(migrations).run(pool).await.map_err(|error| match error {
        MigrateError::Execute(error) => classify_error(location, "update its schema", &error),
        MigrateError::VersionMissing(found) => {
            ArchiveError::TooNew { place: location.to_owned(), found, known }
        }
        error => ArchiveError::Corrupt { place: location.to_owned(), cause: error.to_string() },
    })
}

impl Store {
    /// Returns a function that converts an error of sqlx; `operation` names the operation that failed.
    fn error_for(&self, operation: &'static str) -> impl FnOnce(sqlx::Error) -> ArchiveError {
        move |error| classify_error(&self.location, operation, &error)
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
    async fn apply(
        &self,
        batches: &[Batch],
        now_us: i64,
    ) -> Result<Vec<Result<CommittedBatch, ArchiveError>>, ArchiveError> {
        let mut transaction = self.begin("apply a batch").await?;
        let outcomes = apply::apply_batches(&mut transaction, batches, now_us).await;
        transaction.finish(outcomes).await
    }

    async fn register_connection(&self, device: &str, now_us: i64) -> Result<u64, ArchiveError> {
        let mut transaction = self.begin("register a connection").await?;
        let connection = apply::register_connection(&mut transaction, device, now_us).await;
        transaction.finish(connection).await
    }

    async fn known_numbers(
        &self,
        device: &str,
        spool: u32,
        class: Class,
        from: u64,
    ) -> Result<Vec<RangeInclusive<u64>>, ArchiveError> {
        // The device deletes its records with these numbers, so they must not be those of another file.
        self.check_files().await?;
        let known = read::known_numbers(&self.readers, device, spool, class, from)
            .await
            .map_err(self.error_for("look up record numbers"))?;
        self.check_files().await?;
        Ok(known)
    }

    async fn devices(&self) -> Result<Vec<Device>, ArchiveError> {
        read::devices(&self.readers).await.map_err(self.error_for("list devices"))
    }

    async fn list_frames(&self, query: &FrameQuery) -> Result<Vec<FrameMeta>, ArchiveError> {
        list::list_frames(&self.readers, query).await.map_err(self.error_for("list frames"))
    }

    async fn read_frame(&self, id: i64) -> Result<Option<Frame>, ArchiveError> {
        list::read_frame(&self.readers, id).await.map_err(self.error_for("read a frame"))
    }

    async fn read_frame_bytes(&self, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, ArchiveError> {
        list::read_frame_bytes(&self.readers, ids).await.map_err(self.error_for("read frames"))
    }

    async fn frames_since(
        &self,
        id: i64,
        device: Option<&str>,
        limit: u32,
    ) -> Result<FramesSince, ArchiveError> {
        list::frames_since(&self.readers, id, device, limit).await.map_err(self.error_for("list new frames"))
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
        scores::unscored_frames(&self.readers, head, spaces, limit)
            .await
            .map_err(self.error_for("find unscored frames"))
    }

    async fn put_scores(&self, head: &HeadKey, scores: &[NewScore]) -> Result<u64, ArchiveError> {
        let mut transaction = self.begin("store scores").await?;
        let updated_count = scores::put_scores(&mut transaction, head, scores).await;
        transaction.finish(updated_count).await
    }

    async fn sweep(&self, horizon_us: i64, max_bytes: u64) -> Result<SweepReport, ArchiveError> {
        let mut transaction = self.begin("delete old frames").await?;
        let report = retention::sweep(&mut transaction, horizon_us, max_bytes).await;
        transaction.finish(report).await
    }

    async fn check_read(&self) -> Result<(), ArchiveError> {
        self.check_files().await?;
        health::read_check(&self.readers).await.map_err(self.error_for("answer"))
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
