//! The Unix socket of the status: one object per connection.

use std::{
    io::{self, Read as _},
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::Path,
    time::Duration,
};

use tokio::{io::AsyncWriteExt as _, net::UnixListener, task::JoinHandle};

use super::{AgentReport, StatusSource};
use crate::{EdgeError, SettingsError, error::io_error};

/// Time limit for the transfer of a status report.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest report, in bytes.
const MAX_REPORT_BYTES: u64 = 1 << 20;

/// Checks that no agent answers at this path.
///
/// # Errors
/// [`SettingsError::Invalid`] if one does.
pub(in super::super) fn check_unused(path: &Path) -> Result<(), EdgeError> {
    if UnixStream::connect(path).is_err() {
        return Ok(());
    }
    let reason = format!("another agent answers at {}: stop it, or configure another socket", path.display());
    Err(SettingsError::Invalid(reason).into())
}

/// Serves the status at this path for as long as the task runs.
pub(in super::super) fn serve(path: &Path, status: StatusSource) -> Result<JoinHandle<()>, EdgeError> {
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        check_unused(path)?;
        // An agent that was killed leaves its socket behind.
        std::fs::remove_file(path).map_err(io_error(path))?;
    }
    let listener = UnixListener::bind(path).map_err(io_error(path))?;
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(text) = serde_json::to_vec(&status.report()) else { continue };
            // A client that does not read in time gets no report.
            let _ = tokio::time::timeout(STATUS_TIMEOUT, stream.write_all(&text)).await;
        }
    }))
}

/// Requests the status of the agent that listens at this path.
///
/// # Errors
/// [`EdgeError::AgentUnreachable`] if no agent listens there, [`EdgeError::Json`] if the answer is not a report.
pub fn request_status(path: &Path) -> Result<AgentReport, EdgeError> {
    let stream = UnixStream::connect(path).map_err(agent_unreachable(path))?;
    stream.set_read_timeout(Some(STATUS_TIMEOUT)).map_err(agent_unreachable(path))?;
    let mut text = String::new();
    stream.take(MAX_REPORT_BYTES).read_to_string(&mut text).map_err(agent_unreachable(path))?;
    Ok(serde_json::from_str(&text)?)
}

/// Returns a function that turns an error at the socket `path` into an [`EdgeError::AgentUnreachable`].
fn agent_unreachable(path: &Path) -> impl Fn(io::Error) -> EdgeError {
    move |source| EdgeError::AgentUnreachable { path: path.to_owned(), source }
}
