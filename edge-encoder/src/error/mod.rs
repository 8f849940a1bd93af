//! The errors of the edge: one enum per concern, and [`EdgeError`] for all of them.

mod connection;
mod settings;
mod update;

use std::{
    io as std_io,
    path::{Path, PathBuf},
};

use lopside_bundle::BundleError;
use lopside_capture::CaptureError;
use lopside_encoder::{EncodeError, InputError};
use lopside_latent::LatentError;
use lopside_uplink::UplinkError;

pub use self::{connection::ConnectionError, settings::SettingsError, update::UpdateError};
#[cfg(feature = "send")]
use crate::command::SendError;

/// Errors of the edge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// An encoder, its bundle or one of its inputs was refused.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A setting is missing or invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The cloud-decoder cannot be reached, or refused a request.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// An update over the air failed.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The answer of the cloud-decoder cannot be used.
    #[cfg(feature = "send")]
    #[error(transparent)]
    Send(#[from] SendError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std_io::Error,
    },
    /// A file cannot be used, because of its content or its name.
    #[error("{}: {reason}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// An output would overwrite an input, or another output of the same run.
    #[error("{} already exists as {what}: choose another folder with --out, or rename the input", path.display())]
    Overwrites {
        /// The output file.
        path: PathBuf,
        /// The existing file's role.
        what: &'static str,
    },
    /// Inputs of a run failed; the others were processed.
    #[error("{}", failed_inputs(*failed, *processed, reason))]
    FailedInputs {
        /// Number of failures; an input that cannot be read is the last of its file.
        failed: usize,
        /// Number of inputs that were processed.
        processed: u64,
        /// The reason of the first failure.
        reason: String,
    },
    /// An image is larger than the cloud decodes.
    #[error(
        "an image of {width}×{height} pixels is over the {limit} pixels that the cloud decodes: set too_large = \"scale\" in \
         [images] of the config file, or start cloud-decoder with a larger --max-megapixels"
    )]
    TooLargeForCloud {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Maximum number of pixels.
        limit: u64,
    },
    /// A frame of a file is too large to be stored or sent.
    #[error(
        "{}: a frame of this file is too large for the spool or for the cloud, and was dropped: give smaller inputs or \
         raise megabytes in [spool] (the log has the size of the frame and the limit)",
        path.display()
    )]
    FrameTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The agent cannot open its bundle.
    #[error(
        "{0}; the agent does not start without its bundle: the frames in its spool are kept, and those that wait are sent \
         once the bundle is back and the agent has started"
    )]
    AgentWithoutBundle(Box<EdgeError>),
    /// A source failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The uplink or the spool failed.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// Writing to stdout failed, for example because its reader has ended.
    #[error("cannot write to stdout: {0}")]
    Stdout(std_io::Error),
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers: {0}")]
    Signal(std_io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std_io::Error),
    /// Some checks show that the agent cannot work.
    #[error("problems that prevent the agent from working: {bad}; see the findings")]
    FailedChecks {
        /// Number of bad findings.
        bad: usize,
    },
    /// The agent does not answer.
    #[error(
        "no agent answers at {}: {source}; check that it is running (`systemctl status lopside-edge`) and has this socket in its config file",
        path.display()
    )]
    AgentUnreachable {
        /// The socket of the agent.
        path: PathBuf,
        /// The error of the system.
        source: std_io::Error,
    },
    /// JSON could not be written or read.
    #[error("cannot read or write the report: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<InputError> for EdgeError {
    fn from(error: InputError) -> Self {
        EncodeError::from(error).into()
    }
}

impl From<BundleError> for EdgeError {
    fn from(error: BundleError) -> Self {
        EncodeError::from(error).into()
    }
}

impl From<LatentError> for EdgeError {
    fn from(error: LatentError) -> Self {
        EncodeError::from(error).into()
    }
}

impl EdgeError {
    /// Returns the exit status of a command that ends with this error: 3 if inputs failed and the command has gone through
    /// all others, otherwise 1.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::FailedInputs { .. } => 3,
            _ => 1,
        }
    }
}

fn failed_inputs(failed: usize, processed: u64, reason: &str) -> String {
    match (failed, processed) {
        (1, 0) => reason.to_owned(),
        (1, _) => format!("one input failed, as listed above; {processed} were processed"),
        _ => format!("{failed} inputs failed, as listed above; {processed} were processed"),
    }
}

/// Returns a function that turns a system error at `path` into an [`EdgeError::Io`].
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std_io::Error) -> EdgeError {
    let path = path.to_owned();
    move |source| EdgeError::Io { path, source }
}
