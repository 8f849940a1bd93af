//! Download of a bundle's files, one after the other, each resumed at the point where the last attempt ended.
//!
//! Received bytes are kept in a `.part` file until length and SHA-256 are verified and the file is synced to
//! the disk; only then is it renamed to its final name. A part that fails the check is removed and downloaded
//! again.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use lopside_bundle::Digest;
use lopside_proto::v1::{DownloadRequest, DownloadResponse};
use tokio::{task::spawn_blocking, time::timeout};
use tonic::Streaming;

use super::{bundle_client::BundleClient, disk, folder::BundleFolder, offer::OfferedFile};
use crate::{EdgeError, UpdateError, connection::remote_error, error::io_error};

/// Downloads a file, unless it is present.
pub(super) async fn fetch_file(
    cloud: &mut BundleClient,
    folder: &BundleFolder,
    file: &OfferedFile,
    time_limit: Duration,
) -> Result<(), EdgeError> {
    let (target, part) = (folder.download_path(file), folder.part_path(file));
    if fs::metadata(&target).is_ok_and(|metadata| metadata.len() == file.size_bytes) {
        return Ok(());
    }
    let (part_file, offset) = open_part(&part, file.size_bytes).map_err(io_error(&part))?;
    if offset < file.size_bytes {
        let request = DownloadRequest { sha256: file.sha256.to_vec(), offset };
        let responses = cloud.download(request, time_limit).await?;
        let download = FileDownload { file: part_file, part: &part, received_bytes: offset, offered: file };
        let written = download.write(responses, time_limit).await;
        written.inspect_err(|error| remove_if_full(&part, error))?;
    }
    let (expected, path) = (file.digest(), file.path.clone());
    run_blocking(move || finish_part(&part, &target, &expected, path)).await
}

/// Opens a part and returns the offset at which to resume. A part that is too long cannot belong to this file
/// and is truncated.
fn open_part(part: &Path, size_bytes: u64) -> io::Result<(File, u64)> {
    let file = File::options().append(true).create(true).open(part)?;
    let received = file.metadata()?.len();
    if received <= size_bytes {
        return Ok((file, received));
    }
    file.set_len(0)?;
    Ok((file, 0))
}

/// A file that is being downloaded.
struct FileDownload<'a> {
    file: File,
    part: &'a Path,
    received_bytes: u64,
    offered: &'a OfferedFile,
}

impl FileDownload<'_> {
    /// Writes the received bytes until the file is complete.
    async fn write(
        mut self,
        mut responses: Streaming<DownloadResponse>,
        time_limit: Duration,
    ) -> Result<(), EdgeError> {
        while self.received_bytes < self.offered.size_bytes {
            let next = timeout(time_limit, responses.message()).await;
            let next = next.map_err(|_| {
                self.download_error(format!("no data received for {} s", time_limit.as_secs()))
            })?;
            let Some(DownloadResponse { bytes }) = next.map_err(|status| remote_error(&status))? else {
                return Err(self.download_error(format!(
                    "the stream ended after {} of {} bytes",
                    self.received_bytes, self.offered.size_bytes
                )));
            };
            self.received_bytes += bytes.len() as u64;
            if self.received_bytes > self.offered.size_bytes {
                return Err(
                    self.download_error(format!("received more than its {} bytes", self.offered.size_bytes))
                );
            }
            let mut file = self.file;
            let part = self.part.to_owned();
            self.file = run_blocking(move || {
                file.write_all(&bytes).map_err(io_error(&part))?;
                Ok(file)
            })
            .await?;
        }
        Ok(())
    }

    fn download_error(&self, reason: String) -> EdgeError {
        UpdateError::Download { path: self.offered.path.clone(), reason }.into()
    }
}

/// Removes the part if the disk is full, so that frames have space.
fn remove_if_full(part: &Path, error: &EdgeError) {
    if let EdgeError::Io { source, .. } = error
        && [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&source.kind())
    {
        // The caller already reports the full disk.
        let _ = fs::remove_file(part);
    }
}

/// Verifies a complete part and renames it to its final name.
fn finish_part(part: &Path, target: &Path, expected: &Digest, path: String) -> Result<(), EdgeError> {
    let file = File::open(part).map_err(io_error(part))?;
    let found = Digest::from_reader(&file).map_err(io_error(part))?;
    if found != *expected {
        disk::remove(part)?;
        let reason = format!("its SHA-256 is {} instead of {}", found.as_str(), expected.as_str());
        return Err(UpdateError::Download { path, reason }.into());
    }
    file.sync_all().map_err(io_error(part))?;
    disk::rename(part, target)
}

/// Runs disk operations on a thread where blocking is allowed.
pub(super) async fn run_blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T, EdgeError> + Send + 'static,
) -> Result<T, EdgeError> {
    spawn_blocking(operation).await.map_err(|error| EdgeError::Thread(io::Error::other(error)))?
}
