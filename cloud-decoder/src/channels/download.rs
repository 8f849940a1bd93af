//! The download of one file by a device.
//!
//! One chunk is in memory at a time; the next one is read after the client has taken the previous one. The file
//! is opened once, so a file that replaces it in the folder is not read. If the file is overwritten in place,
//! the new bytes are sent, and the device rejects the file by its digest.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use futures_util::{Stream, stream};
use lopside_decoder::offload::run_blocking;
use lopside_proto::v1::DownloadResponse;
use tokio::sync::watch;
use tonic::Status;

use super::OfferedFile;
use crate::{ServeError, telemetry::metrics};

/// Bytes per chunk.
const CHUNK_BYTES: u64 = 64 << 10;

/// A download in progress.
#[derive(Debug)]
pub(super) struct Download {
    file: Arc<File>,
    offered: OfferedFile,
    /// The offset at which the download began.
    start_offset: u64,
    /// The offset of the next chunk.
    next_offset: u64,
    ready: watch::Receiver<bool>,
}

impl Download {
    /// Opens a file for a download from `offset` on. The download fails once `ready` turns false.
    ///
    /// # Errors
    /// [`ServeError::OffsetOutOfRange`] if `offset` is beyond the end of the file, [`ServeError::UnknownFile`] if it
    /// cannot be opened.
    pub(super) async fn open(
        offered: OfferedFile,
        offset: u64,
        ready: watch::Receiver<bool>,
    ) -> Result<Self, ServeError> {
        if offset > offered.bytes {
            let OfferedFile { path, bytes, .. } = offered;
            return Err(ServeError::OffsetOutOfRange { path, bytes, offset });
        }
        let path = offered.local_path.clone();
        let file = run_blocking(move || File::open(path))
            .await?
            .map_err(|error| unreadable_file(&offered, &error))?;
        Ok(Self { file: Arc::new(file), offered, start_offset: offset, next_offset: offset, ready })
    }

    /// Returns the chunks as a stream.
    pub(super) fn into_chunks(self) -> impl Stream<Item = Result<DownloadResponse, Status>> + Send {
        stream::try_unfold(self, |mut download| async move {
            let chunk = download.next_chunk().await?;
            Ok(chunk.map(|bytes| (DownloadResponse { bytes }, download)))
        })
    }

    /// Reads the next chunk; returns `None` after the last.
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, ServeError> {
        let remaining = self.offered.bytes - self.next_offset;
        if remaining == 0 {
            return Ok(None);
        }
        if !*self.ready.borrow() {
            return Err(ServeError::Stopping);
        }
        let (file, offset, length) = (Arc::clone(&self.file), self.next_offset, remaining.min(CHUNK_BYTES));
        let read = run_blocking(move || {
            let mut chunk = vec![0; length as usize];
            file.read_exact_at(&mut chunk, offset).map(|()| chunk)
        });
        let chunk = read.await?.map_err(|error| unreadable_file(&self.offered, &error))?;
        self.next_offset += length;
        Ok(Some(chunk))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let result = if self.next_offset == self.offered.bytes { "done" } else { "broken_off" };
        metrics::count_download(result, self.next_offset - self.start_offset);
    }
}

/// Logs the failure and returns the error for the device. The file existed when it was checked: a replacement is
/// another file, for which the device has to query the channel again.
fn unreadable_file(offered: &OfferedFile, error: &io::Error) -> ServeError {
    tracing::warn!(file = %offered.local_path.display(), %error, "an offered file can no longer be read");
    ServeError::unknown_file(&offered.sha256)
}
