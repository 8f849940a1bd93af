use std::{ops::RangeInclusive, sync::Arc};

use async_trait::async_trait;

use crate::{
    Applied, ArchiveError, Batch, Class, Device, Frame, FrameMeta, HeadKey, LatentSpace, NewScore, Query,
    Settings, Since, Swept, Unscored, postgres, sqlite,
};

/// A batch whose commit is durable.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) applied: Applied,
    /// The frames that are new.
    pub(crate) frames: Vec<Arc<FrameMeta>>,
}

/// What a database does for the archive. Each call is one transaction.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Applies checked batches together, in this order. A batch by itself may be refused; an error says that none was
    /// applied.
    async fn apply(
        &self,
        batches: &[Batch],
        now_us: i64,
    ) -> Result<Vec<Result<Committed, ArchiveError>>, ArchiveError>;
    /// Counts a device's connections: which one this is.
    async fn arrive(&self, device: &str, now_us: i64) -> Result<u64, ArchiveError>;
    async fn known(
        &self,
        device: &str,
        spool: u32,
        class: Class,
        from: u64,
    ) -> Result<Vec<RangeInclusive<u64>>, ArchiveError>;
    async fn devices(&self) -> Result<Vec<Device>, ArchiveError>;
    /// One frame more than the page has, if there is one.
    async fn frames(&self, query: &Query) -> Result<Vec<FrameMeta>, ArchiveError>;
    async fn frame(&self, id: i64) -> Result<Option<Frame>, ArchiveError>;
    async fn bytes(&self, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, ArchiveError>;
    async fn since(&self, id: i64, device: Option<&str>, limit: u32) -> Result<Since, ArchiveError>;
    async fn delete(&self, id: i64) -> Result<bool, ArchiveError>;
    async fn unscored(
        &self,
        head: &HeadKey,
        spaces: &[LatentSpace],
        limit: u32,
    ) -> Result<Vec<Unscored>, ArchiveError>;
    async fn put_scores(&self, head: &HeadKey, scores: &[NewScore]) -> Result<u64, ArchiveError>;
    /// Deletes some of the oldest frames: those captured before `horizon_us`, and as many as bring the rest down to
    /// `max_bytes`. Nothing was left to delete when nothing was deleted.
    async fn sweep(&self, horizon_us: i64, max_bytes: u64) -> Result<Swept, ArchiveError>;
    async fn health(&self) -> Result<(), ArchiveError>;
    async fn close(&self);
}

/// Opens the database of an address, and brings its schema up to date.
pub(crate) async fn open(url: &str, settings: &Settings) -> Result<Arc<dyn Backend>, ArchiveError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(postgres::open(url, settings).await?)),
        Some(("sqlite", path)) => {
            // `sqlite:///a/b` and `sqlite:/a/b` are absolute, `sqlite:a/b` and `sqlite://a/b` are not.
            open_file(url, path.strip_prefix("//").unwrap_or(path), settings).await
        }
        Some((scheme, rest)) if rest.starts_with("//") => {
            // What follows may hold a password.
            Err(ArchiveError::Url { url: format!("{scheme}://…") })
        }
        _ => open_file(url, url, settings).await,
    }
}

async fn open_file(url: &str, path: &str, settings: &Settings) -> Result<Arc<dyn Backend>, ArchiveError> {
    // SQLite would make a database in memory of it, which lasts as long as a connection.
    if matches!(path, "" | ":memory:") {
        return Err(ArchiveError::Url { url: url.to_owned() });
    }
    Ok(Arc::new(sqlite::open(path, settings).await?))
}
