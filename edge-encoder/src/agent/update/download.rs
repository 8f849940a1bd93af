//! Files of a bundle, one after the other, each from where the last try ended.
//!
//! What has come lies in a `.part` until length and SHA-256 are right and the disk has it; only then it gets its name. A
//! part that turns out wrong is removed, and asked for anew.

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

use super::{cloud::Cloud, disk, folder::Folder, offer::Offered};
use crate::{EdgeError, client::remote, error::io as at};

/// Gets a file, unless it is there.
pub(super) async fn fetch(
    cloud: &mut Cloud,
    folder: &Folder,
    file: &Offered,
    patience: Duration,
) -> Result<(), EdgeError> {
    let (whole, part) = (folder.download(file), folder.part(file));
    if fs::metadata(&whole).is_ok_and(|there| there.len() == file.bytes) {
        return Ok(());
    }
    let (opened, offset) = open(&part, file.bytes)?;
    if offset < file.bytes {
        let request = DownloadRequest { sha256: file.sha256.to_vec(), offset };
        let answers = cloud.download(request, patience).await?;
        let incoming = Incoming { file: opened, part: &part, have: offset, want: file };
        let written = incoming.write(answers, patience).await;
        written.inspect_err(|error| make_room(&part, error))?;
    }
    let (expected, path) = (file.digest(), file.path.clone());
    blocking(move || finish(&part, &whole, &expected, path)).await
}

/// Where a part goes on. One that is too long is not the beginning of this file.
fn open(part: &Path, bytes: u64) -> Result<(File, u64), EdgeError> {
    let open = || {
        let file = File::options().append(true).create(true).open(part)?;
        let have = file.metadata()?.len();
        if have <= bytes {
            return Ok((file, have));
        }
        file.set_len(0)?;
        Ok((file, 0))
    };
    open().map_err(at(part))
}

/// A file on its way.
struct Incoming<'a> {
    file: File,
    part: &'a Path,
    have: u64,
    want: &'a Offered,
}

impl Incoming<'_> {
    /// Writes what comes, until all has come.
    async fn write(
        mut self,
        mut answers: Streaming<DownloadResponse>,
        patience: Duration,
    ) -> Result<(), EdgeError> {
        while self.have < self.want.bytes {
            let next = timeout(patience, answers.message()).await;
            let next = next.map_err(|_| self.wrong(format!("nothing came for {} s", patience.as_secs())))?;
            let Some(DownloadResponse { bytes }) = next.map_err(|status| remote(&status))? else {
                return Err(self.wrong(format!("it ended after {} of {} bytes", self.have, self.want.bytes)));
            };
            self.have += bytes.len() as u64;
            if self.have > self.want.bytes {
                return Err(self.wrong(format!("more than its {} bytes came", self.want.bytes)));
            }
            let mut file = self.file;
            let part = self.part.to_owned();
            self.file = blocking(move || {
                file.write_all(&bytes).map_err(at(&part))?;
                Ok(file)
            })
            .await?;
        }
        Ok(())
    }

    fn wrong(&self, reason: String) -> EdgeError {
        EdgeError::Download { path: self.want.path.clone(), reason }
    }
}

/// A disk that is full needs its room for frames.
fn make_room(part: &Path, error: &EdgeError) {
    if let EdgeError::Io { source, .. } = error
        && [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&source.kind())
    {
        // It is told already that the disk is full.
        let _ = fs::remove_file(part);
    }
}

/// Gives a part its name, when it is what was offered.
fn finish(part: &Path, whole: &Path, expected: &Digest, path: String) -> Result<(), EdgeError> {
    let file = File::open(part).map_err(at(part))?;
    let found = Digest::read(&file).map_err(at(part))?;
    if found != *expected {
        disk::remove(part)?;
        let reason =
            format!("it came with SHA-256 {}, and should have {}", found.as_str(), expected.as_str());
        return Err(EdgeError::Download { path, reason });
    }
    file.sync_all().map_err(at(part))?;
    disk::rename(part, whole)
}

/// Does what may wait for the disk, where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EdgeError> + Send + 'static,
) -> Result<T, EdgeError> {
    spawn_blocking(work).await.map_err(|error| EdgeError::Thread(io::Error::other(error)))?
}
