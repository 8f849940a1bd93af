//! Everything of the archive that fits a question, as one file: NDJSON or Parquet, made group by group while it is read.
//!
//! ```text
//! page of the list ─► group: frames within a number and within bytes ─► their bytes ─► written ─► sent
//! ```
//! Memory does not depend on how much fits: a page of the list, one group, and of Parquet a few words for each group,
//! which its end lists. The next group is read when the one before it has been taken.

mod ndjson;
mod parquet;

use std::collections::{HashMap, VecDeque};

use axum::body::Bytes;
use lopside_archive::{Archive, Frame, FrameMeta, MAX_PAGE, Query};

use self::{ndjson::Ndjson, parquet::Parquet};
use crate::{ServeError, offload::blocking};

/// Frames of a group at most.
const GROUP: usize = 8 << 10;
/// Bytes of a group's frames, beyond which no further one joins it.
const GROUP_BYTES: u64 = 8 << 20;

/// A file's format.
trait Writer: Send + 'static {
    /// The bytes that a group adds to the file.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    fn group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError>;

    /// The file's last bytes.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    fn end(&mut self) -> Result<Vec<u8>, ServeError>;
}

/// An export under way.
pub(crate) struct Export {
    archive: Archive,
    /// The next page; none after the last.
    query: Option<Query>,
    /// Of the list, what is in no group yet.
    listed: VecDeque<FrameMeta>,
    /// None when the file has its end.
    writer: Option<Box<dyn Writer>>,
}

impl Export {
    /// As one JSON object a line.
    pub(crate) fn ndjson(archive: Archive, query: Query) -> Self {
        Self::of(archive, query, Box::new(Ndjson))
    }

    /// As a Parquet file.
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

    /// The file's next bytes; none after the last.
    ///
    /// # Errors
    /// [`ServeError`]; the file is then not whole.
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

    /// The next frames with their bytes; none after the last. Those deleted meanwhile are left out.
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

/// Writes a group, or the end, after which there is no writer any more.
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
