//! Exports all frames that match a query as one NDJSON or Parquet file, produced in groups while the client
//! reads it.
//!
//! ```text
//! page of the list ─► group: bounded in frames and bytes ─► frame bytes ─► encoded ─► sent
//! ```
//! Memory does not depend on the number of frames: it holds one page of the list, one group and, for Parquet, a
//! few words of metadata per group for the footer. The next group is read after the client has taken the
//! previous one.

mod ndjson;
mod parquet;

use std::collections::{HashMap, VecDeque};

use axum::body::Bytes;
use lopside_archive::{Archive, Frame, FrameMeta, MAX_PAGE, Query};

use self::{ndjson::Ndjson, parquet::Parquet};
use crate::{ServeError, offload::blocking};

/// Maximum number of frames per group.
const GROUP: usize = 8 << 10;
/// Bytes from which a group takes no further frames.
const GROUP_BYTES: u64 = 8 << 20;

/// An encoder for one file format.
trait Writer: Send + 'static {
    /// Encodes a group and returns the bytes that it adds to the file.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    fn group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError>;

    /// Returns the last bytes of the file.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    fn end(&mut self) -> Result<Vec<u8>, ServeError>;
}

/// An export in progress.
pub(crate) struct Export {
    archive: Archive,
    /// The query of the next page; `None` after the last page.
    query: Option<Query>,
    /// Listed frames that do not belong to a group yet.
    listed: VecDeque<FrameMeta>,
    /// `None` after the end of the file was written.
    writer: Option<Box<dyn Writer>>,
}

impl Export {
    /// Starts an NDJSON export: one JSON object per line.
    pub(crate) fn ndjson(archive: Archive, query: Query) -> Self {
        Self::of(archive, query, Box::new(Ndjson))
    }

    /// Starts a Parquet export.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(crate) fn parquet(archive: Archive, query: Query) -> Result<Self, ServeError> {
        Ok(Self::of(archive, query, Box::new(Parquet::new()?)))
    }

    fn of(archive: Archive, query: Query, writer: Box<dyn Writer>) -> Self {
        let query = Some(Query { limit: MAX_PAGE, after: None, ..query });
        Self { archive, query, listed: VecDeque::new(), writer: Some(writer) }
    }

    /// Returns the next bytes of the file; `None` after the last.
    ///
    /// # Errors
    /// [`ServeError`]; the file is then incomplete.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ServeError> {
        while let Some(writer) = self.writer.take() {
            let group = self.group().await?;
            let (writer, bytes) = write(writer, group).await?;
            self.writer = writer;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads the next frames with their bytes; returns `None` after the last. Frames that were deleted since
    /// they were listed are left out.
    async fn group(&mut self) -> Result<Option<Vec<Frame>>, ServeError> {
        let metas = self.next_metas().await?;
        if metas.is_empty() {
            return Ok(None);
        }
        let ids: Vec<i64> = metas.iter().map(|meta| meta.id).collect();
        let mut bytes: HashMap<i64, Vec<u8>> = self.archive.bytes(&ids).await?.into_iter().collect();
        let frame = |meta: FrameMeta| Some(Frame { bytes: bytes.remove(&meta.id)?, meta });
        Ok(Some(metas.into_iter().filter_map(frame).collect()))
    }

    async fn next_metas(&mut self) -> Result<Vec<FrameMeta>, ServeError> {
        let (mut metas, mut bytes) = (Vec::new(), 0);
        while metas.len() < GROUP && bytes < GROUP_BYTES {
            if self.listed.is_empty() {
                self.turn_page().await?;
            }
            let Some(meta) = self.listed.pop_front() else { break };
            bytes += meta.bytes;
            metas.push(meta);
        }
        Ok(metas)
    }

    async fn turn_page(&mut self) -> Result<(), ServeError> {
        let Some(query) = self.query.take() else { return Ok(()) };
        let page = self.archive.frames(&query).await?;
        self.listed.extend(page.frames);
        self.query = page.next.map(|next| Query { after: Some(next), ..query });
        Ok(())
    }
}

/// Encodes a group or, for `None`, the end of the file, after which the returned writer is `None`.
async fn write(
    mut writer: Box<dyn Writer>,
    group: Option<Vec<Frame>>,
) -> Result<(Option<Box<dyn Writer>>, Bytes), ServeError> {
    blocking(move || match group {
        Some(frames) => writer.group(&frames).map(|bytes| (Some(writer), bytes.into())),
        None => writer.end().map(|bytes| (None, bytes.into())),
    })
    .await?
}
