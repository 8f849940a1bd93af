use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use lopside_archive::ArchiveError;
use lopside_bundle::BundleError;
use lopside_latent::{LatentError, LatentSpaceId};

/// Why the server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The config file is wrong.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A setting has no possible value.
    #[error("{name}: {reason}")]
    Setting {
        /// The setting, as its flag is called.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// Nothing to serve.
    #[error(
        "no bundle to serve: give --bundle DIR, set LOPSIDE_BUNDLES, or write bundles = [\"DIR\"] in the config file"
    )]
    NoBundles,
    /// A folder holds no bundle.
    #[error("{} is no bundle and holds none", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A bundle was refused.
    #[error("{}: {source}", path.display())]
    Bundle {
        /// The bundle's folder.
        path: PathBuf,
        /// Why.
        source: BundleError,
    },
    /// Two bundles have the same name.
    #[error("two bundles are named {name:?}: rename one in its bundle.json")]
    SameName {
        /// The name.
        name: String,
    },
    /// ONNX Runtime cannot be loaded.
    #[error(
        "cannot load ONNX Runtime from {}: {reason}; name the library with --onnxruntime or ORT_DYLIB_PATH \
         (PyPI's onnxruntime wheel has it in onnxruntime/capi)",
        path.display()
    )]
    Library {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// CUDA was demanded and is not there.
    #[error("--device cuda, but {0}; use --device auto to fall back to the CPU")]
    NoCuda(String),
    /// A head's model was refused by ONNX Runtime or is not what its manifest says.
    #[error("bundle {bundle:?}, head {head:?}: {reason}")]
    Head {
        /// The bundle.
        bundle: String,
        /// The head.
        head: String,
        /// Why.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no more threads.
    #[error("cannot start a thread for connections: {0}")]
    Threads(io::Error),
    /// A certificate or its key cannot be used.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// TLS needs a certificate and its key.
    #[error(
        "TLS needs a certificate and its key: give {flag} FILE, set {env}, or write {key} = \"FILE\" in [tls] of the config file"
    )]
    HalfTls {
        /// The flag of what is missing.
        flag: &'static str,
        /// Its variable.
        env: &'static str,
        /// Its key in the file.
        key: &'static str,
    },
    /// The API keys cannot be used.
    #[error("{}: {reason}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The channels cannot be used.
    #[error("{}: {reason}", path.display())]
    Channels {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A channel would offer nothing.
    #[error("channel {channel:?}: {reason}")]
    Channel {
        /// The channel.
        channel: String,
        /// Why.
        reason: String,
    },
    /// A key's name cannot stand in the file of keys.
    #[error("{0:?} is no name of a key: give 1 to 64 letters, digits, \"-\", \"_\" or \".\"")]
    KeyName(String),
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The archive cannot be opened.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// gRPC reflection cannot be set up.
    #[error("server reflection: {0}")]
    Reflection(String),
}

/// Why a request was not answered. [`error_grpc`](crate) and [`error_http`](crate) say how clients see it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The request cannot be right.
    #[error("{0}")]
    Request(String),
    /// A frame was refused.
    #[error("frame {index}: {source}")]
    Frame {
        /// Which frame of the request, from 0.
        index: usize,
        /// Why.
        source: LatentError,
    },
    /// A frame of fixed latents for a bundle of pictures, or the other way round.
    #[error("frame {index} is of version {found}, bundle {bundle:?} takes frames of version {expected}")]
    OtherVersion {
        /// Which frame of the request, from 0.
        index: usize,
        /// The frame's version.
        found: u8,
        /// The bundle.
        bundle: String,
        /// The version of the bundle's frames.
        expected: u8,
    },
    /// No bundle of this latent space is served.
    #[error("no bundle of latent space {0} is served here")]
    UnknownLatentSpace(LatentSpaceId),
    /// No bundle of this name is served.
    #[error("no bundle {0:?} is served here")]
    UnknownBundle(String),
    /// A bundle that was to be loaded cannot be served.
    #[error("bundle {bundle:?} was refused: {reason}")]
    Refused {
        /// The bundle.
        bundle: String,
        /// Why.
        reason: String,
    },
    /// The bundle has no such head.
    #[error("bundle {bundle:?} has no head {head:?}; it has {known}")]
    UnknownHead {
        /// The bundle.
        bundle: String,
        /// The head asked for.
        head: String,
        /// The heads there are.
        known: String,
    },
    /// The head's queue is full, or too long for the request's deadline.
    #[error("head {head:?} has more to do than it can in time: try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// The head.
        head: String,
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The deadline passed before the job's turn.
    #[error("the deadline passed while the request waited")]
    DeadlineExceeded,
    /// The archive does not take or give anything at the moment; the reason is for the log only.
    #[error("the archive does not work at the moment: try again later")]
    Archive(String),
    /// No frame of this id is archived, or not any more.
    #[error("no frame {0} is archived here")]
    UnknownFrame(i64),
    /// No archive is kept.
    #[error("no archive is kept here: start the server with --archive")]
    NoArchive,
    /// A device sends on a connection that is not its newest.
    #[error("the device has come on a newer connection")]
    Displaced,
    /// No channels are configured.
    #[error("no channels are configured here: start the server with --channels")]
    NoChannels,
    /// No channel of this name is configured.
    #[error("no channel {0:?} is configured here")]
    UnknownChannel(String),
    /// A channel's bundle cannot be offered.
    #[error("channel {channel:?} offers nothing at the moment: {reason}")]
    NotOffered {
        /// The channel.
        channel: String,
        /// Why.
        reason: String,
    },
    /// No channel offers a file of this digest.
    #[error("no channel offers a file of SHA-256 {0} (any more): ask for the channel again")]
    UnknownFile(String),
    /// A download would begin beyond the file's end.
    #[error("{path} has {bytes} bytes, so none from {offset} on: begin at 0")]
    Offset {
        /// The file, as its manifest writes it.
        path: String,
        /// Its bytes.
        bytes: u64,
        /// Where it was to begin.
        offset: u64,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// Something that is not the client's fault; the reason is for the log only.
    #[error("internal error")]
    Internal(String),
}

impl From<ArchiveError> for ServeError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Refused { .. } | ArchiveError::Cursor { .. } | ArchiveError::Score { .. } => {
                Self::Request(error.to_string())
            }
            ArchiveError::Displaced { .. } => Self::Displaced,
            ArchiveError::Closed => Self::Stopping,
            error => Self::Archive(error.to_string()),
        }
    }
}

impl ServeError {
    /// That no channel offers a file of this digest.
    pub(crate) fn unknown_file(sha256: &[u8]) -> Self {
        Self::UnknownFile(sha256.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Why a bundle that takes frames of version `expected` refused a frame.
    pub(crate) fn of_frame(index: usize, source: LatentError, bundle: &str, expected: u8) -> Self {
        match source {
            LatentError::Version { found: found @ 1..=2 } => {
                Self::OtherVersion { index, found, bundle: bundle.to_owned(), expected }
            }
            source => Self::Frame { index, source },
        }
    }
}
