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
use lopside_archive::{Archive, Frame, FrameMeta, FrameQuery, MAX_PAGE_FRAMES};
use lopside_decoder::offload::run_blocking;

use self::{ndjson::NdjsonEncoder, parquet::ParquetEncoder};
use crate::ServeError;

/// Maximum number of frames per group.
const GROUP_FRAMES: usize = 8 << 10;
/// Bytes from which a group takes no further frames.
const GROUP_BYTES: u64 = 8 << 20;

/// An encoder for one file format.
trait FormatEncoder: Send + 'static {
    /// Encodes a group and returns the bytes that it adds to the file.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    fn encode_group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError>;

    /// Returns the last bytes of the file.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    fn finish_file(&mut self) -> Result<Vec<u8>, ServeError>;
}

/// An export in progress.
pub(crate) struct Export {
    archive: Archive,
    /// The query of the next page; `None` after the last page.
    next_page: Option<FrameQuery>,
    /// Listed frames that do not belong to a group yet.
    listed: VecDeque<FrameMeta>,
    /// `None` after the end of the file was written.
    encoder: Option<Box<dyn FormatEncoder>>,
}

impl Export {
    /// Starts an NDJSON export: one JSON object per line.
    pub(crate) fn start_ndjson(archive: Archive, query: FrameQuery) -> Self {
        Self::with_encoder(archive, query, Box::new(NdjsonEncoder))
    }

    /// Starts a Parquet export.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(crate) fn start_parquet(archive: Archive, query: FrameQuery) -> Result<Self, ServeError> {
        Ok(Self::with_encoder(archive, query, Box::new(ParquetEncoder::new()?)))
    }

    fn with_encoder(archive: Archive, query: FrameQuery, encoder: Box<dyn FormatEncoder>) -> Self {
        let next_page = Some(FrameQuery { limit: MAX_PAGE_FRAMES, after: None, ..query });
        Self { archive, next_page, listed: VecDeque::new(), encoder: Some(encoder) }
    }

    /// Returns the next bytes of the file; `None` after the last.
    ///
    /// # Errors
    /// [`ServeError`]; the file is then incomplete.
    pub(crate) async fn next_bytes(&mut self) -> Result<Option<Bytes>, ServeError> {
        while let Some(encoder) = self.encoder.take() {
            let group = self.next_group().await?;
            let (encoder, bytes) = encode_blocking(encoder, group).await?;
            self.encoder = encoder;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads the next frames with their bytes; returns `None` after the last. Frames that were deleted since
    /// they were listed are left out.
    async fn next_group(&mut self) -> Result<Option<Vec<Frame>>, ServeError> {
        let metas = self.next_metas().await?;
        if metas.is_empty() {
            return Ok(None);
        }
        let ids: Vec<i64> = metas.iter().map(|meta| meta.id).collect();
        let mut bytes: HashMap<i64, Vec<u8>> =
            self.archive.read_frame_bytes(&ids).await?.into_iter().collect();
        let frames =
            metas.into_iter().filter_map(|meta| Some(Frame { bytes: bytes.remove(&meta.id)?, meta }));
        Ok(Some(frames.collect()))
    }

    async fn next_metas(&mut self) -> Result<Vec<FrameMeta>, ServeError> {
        let (mut metas, mut bytes) = (Vec::new(), 0);
        while metas.len() < GROUP_FRAMES && bytes < GROUP_BYTES {
            if self.listed.is_empty() {
                self.list_next_page().await?;
            }
            let Some(meta) = self.listed.pop_front() else { break };
            bytes += meta.bytes;
            metas.push(meta);
        }
        Ok(metas)
    }

    async fn list_next_page(&mut self) -> Result<(), ServeError> {
        let Some(query) = self.next_page.take() else { return Ok(()) };
        let page = self.archive.list_frames(&query).await?;
        self.listed.extend(page.frames);
        self.next_page = page.next.map(|next| FrameQuery { after: Some(next), ..query });
        Ok(())
    }
}

/// Encodes a group or, for `None`, the end of the file, after which the returned encoder is `None`.
async fn encode_blocking(
    mut encoder: Box<dyn FormatEncoder>,
    group: Option<Vec<Frame>>,
) -> Result<(Option<Box<dyn FormatEncoder>>, Bytes), ServeError> {
    run_blocking(move || match group {
        Some(frames) => encoder.encode_group(&frames).map(|bytes| (Some(encoder), bytes.into())),
        None => encoder.finish_file().map(|bytes| (None, bytes.into())),
    })
    .await?
}
