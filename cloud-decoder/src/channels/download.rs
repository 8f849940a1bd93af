//! A file on its way to a device.
//!
//! One piece is in memory, read when the one before it has been taken. The file is opened once: one that takes its place
//! in the folder is another one. What is written into it meanwhile would go along, and the device would refuse it by its
//! digest.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use futures_util::{Stream, stream};
use lopside_proto::v1::DownloadResponse;
use tokio::sync::watch;
use tonic::Status;

use super::Offered;
use crate::{ServeError, metrics, offload::blocking};

/// Bytes of a piece.
const PIECE: u64 = 64 << 10;

/// A download under way.
#[derive(Debug)]
pub(super) struct Download {
    file: Arc<File>,
    offered: Offered,
    /// Where it began.
    from: u64,
    /// Where the next piece begins.
    at: u64,
    ready: watch::Receiver<bool>,
}

impl Download {
    /// Opens a file for its bytes from `offset` on. They end when `ready` turns false.
    ///
    /// # Errors
    /// [`ServeError::Offset`] beyond its end, [`ServeError::UnknownFile`] when it has gone.
    pub(super) async fn open(
        offered: Offered,
        offset: u64,
        ready: watch::Receiver<bool>,
    ) -> Result<Self, ServeError> {
        if offset > offered.bytes {
            let Offered { path, bytes, .. } = offered;
            return Err(ServeError::Offset { path, bytes, offset });
        }
        let place = offered.place.clone();
        let file = blocking(move || File::open(place)).await?.map_err(|error| failed(&offered, &error))?;
        Ok(Self { file: Arc::new(file), offered, from: offset, at: offset, ready })
    }

    /// The pieces.
    pub(super) fn pieces(self) -> impl Stream<Item = Result<DownloadResponse, Status>> + Send {
        stream::try_unfold(self, |mut download| async move {
            let piece = download.next().await?;
            Ok(piece.map(|bytes| (DownloadResponse { bytes }, download)))
        })
    }

    /// The next piece; none after the last.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ServeError> {
        let left = self.offered.bytes - self.at;
        if left == 0 {
            return Ok(None);
        }
        if !*self.ready.borrow() {
            return Err(ServeError::Stopping);
        }
        let (file, at, length) = (Arc::clone(&self.file), self.at, left.min(PIECE));
        let read = blocking(move || {
            let mut piece = vec![0; length as usize];
            file.read_exact_at(&mut piece, at).map(|()| piece)
        });
        let piece = read.await?.map_err(|error| failed(&self.offered, &error))?;
        self.at += length;
        Ok(Some(piece))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let result = if self.at == self.offered.bytes { "done" } else { "broken_off" };
        metrics::download_ended(result, self.at - self.from);
    }
}

/// It was there when it was checked: what has come in its place is another file, for which the device has to ask.
fn failed(offered: &Offered, error: &io::Error) -> ServeError {
    tracing::warn!(file = %offered.place.display(), %error, "a file that was offered cannot be read any more");
    ServeError::unknown_file(&offered.sha256)
}
