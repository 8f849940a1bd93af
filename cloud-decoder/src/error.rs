use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use lopside_archive::ArchiveError;
use lopside_decoder::{DecodeError, LoadError};

use crate::transport::BodyRefusal;

/// An error that keeps the server from starting or from running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// ONNX Runtime or a bundle cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The config file is invalid.
    #[error("{}: {reason}", path.display())]
    Config {
        /// Path of the file.
        path: PathBuf,
        /// The problem and its position in the file.
        reason: String,
    },
    /// A setting has an invalid value.
    #[error("{name}: {reason}")]
    InvalidSetting {
        /// The name of the setting's flag.
        name: &'static str,
        /// The reason.
        reason: String,
    },
    /// No bundle is configured.
    #[error(
        "no bundle to serve: give --bundle DIR, set LOPSIDE_BUNDLES, or write bundles = [\"DIR\"] in the config file"
    )]
    NoBundles,
    /// The server cannot listen on its address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The system cannot start a thread for connections.
    #[error("cannot start a thread for connections: {0}")]
    Threads(io::Error),
    /// A certificate or its key cannot be used.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// Path of the file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// TLS is configured without a certificate or without a key.
    #[error(
        "TLS needs a certificate and its key: give {flag} FILE, set {env}, or write {key} = \"FILE\" in [tls] of the config file"
    )]
    IncompleteTls {
        /// The flag of the missing part.
        flag: &'static str,
        /// The environment variable of the missing part.
        env: &'static str,
        /// The config-file key of the missing part.
        key: &'static str,
    },
    /// The file of API keys cannot be used.
    #[error("{}: {reason}", path.display())]
    ApiKeys {
        /// Path of the file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The channels file cannot be used.
    #[error("{}: {reason}", path.display())]
    Channels {
        /// Path of the file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The bundle of a channel cannot be offered.
    #[error("channel {channel:?}: {reason}")]
    Channel {
        /// The name of the channel.
        channel: String,
        /// The reason.
        reason: String,
    },
    /// The name of an API key is invalid.
    #[error("{0:?} is not a valid name of a key: give 1 to 64 letters, digits, \"-\", \"_\" or \".\"")]
    InvalidKeyName(String),
    /// The system cannot provide random bytes.
    #[error("the system cannot provide random bytes")]
    RandomSource,
    /// The archive cannot be opened.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// gRPC reflection cannot be set up.
    #[error("gRPC server reflection cannot be set up: {0}")]
    Reflection(String),
}

/// The reason why a request failed. [`error_grpc`](crate) and [`error_http`](crate) map it to the responses
/// that clients see.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The decoder refused the request or failed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The request is invalid.
    #[error("{0}")]
    InvalidRequest(String),
    /// The body of the request was not received to its end.
    #[error(transparent)]
    BodyRefused(#[from] BodyRefusal),
    /// The API key has recently spent all of its computation.
    #[error("this API key has spent its computation of the last minute: try again in {} ms", wait.as_millis())]
    CostLimited {
        /// The time after which the key may spend what the request costs.
        wait: Duration,
    },
    /// The request alone costs more computation than the API key may spend in a minute, so that no retry can succeed.
    #[error(
        "the request costs {gmacs:.1} GMAC, but this API key may spend at most {gmacs_per_minute} per minute: send \
         fewer or smaller items, or raise gmacs_per_minute in the key file"
    )]
    CostTooHigh {
        /// The cost of the request in 10⁹ multiply-accumulates.
        gmacs: f64,
        /// The limit of the key, in the same unit.
        gmacs_per_minute: f64,
    },
    /// The archive is temporarily unavailable; the reason is only for the log.
    #[error("the archive is temporarily unavailable: try again later")]
    ArchiveUnavailable(String),
    /// The archive does not contain a frame with this id, or does not contain it any more.
    #[error("the archive does not contain frame {0}")]
    UnknownFrame(i64),
    /// The server runs without an archive.
    #[error("this server does not have an archive: start it with --archive")]
    NoArchive,
    /// A device sent a frame that is archived with other contents.
    #[error("{0}")]
    FrameConflict(String),
    /// A device sent data on a connection that a newer connection has replaced.
    #[error("a newer connection of this device has replaced this one")]
    ConnectionReplaced,
    /// The key or the certificate of the client does not permit it to speak for the device that it names.
    #[error("{0}")]
    DeviceForbidden(String),
    /// The server runs without channels.
    #[error("this server does not have channels: start it with --channels")]
    NoChannels,
    /// No channel with this name is configured.
    #[error("this server does not have a channel {0:?}")]
    UnknownChannel(String),
    /// A channel's bundle cannot be offered.
    #[error("channel {channel:?} cannot offer its bundle at the moment: {reason}")]
    ChannelUnavailable {
        /// The name of the channel.
        channel: String,
        /// The reason.
        reason: String,
    },
    /// No channel offers a file with this SHA-256 digest.
    #[error("no channel offers a file with SHA-256 {0}: get the current offer of the channel")]
    UnknownFile(String),
    /// The offset of a download is beyond the end of the file.
    #[error("{path} has {bytes} bytes, and offset {offset} is beyond its end: start at 0")]
    OffsetOutOfRange {
        /// Path of the file, as in the manifest.
        path: String,
        /// Size of the file in bytes.
        bytes: u64,
        /// The requested offset in bytes.
        offset: u64,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// A check of the server's health has failed, so that load balancers should choose another server.
    #[error("the server is not ready: {0}")]
    NotReady(String),
    /// An internal error; the reason is only for the log.
    #[error("internal error")]
    Internal(String),
}

impl From<ArchiveError> for ServeError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Refused { .. }
            | ArchiveError::InvalidCursor { .. }
            | ArchiveError::InvalidScore { .. } => Self::InvalidRequest(error.to_string()),
            ArchiveError::Conflict { .. } => Self::FrameConflict(error.to_string()),
            ArchiveError::Superseded { .. } => Self::ConnectionReplaced,
            ArchiveError::Closed => Self::Stopping,
            error => Self::ArchiveUnavailable(error.to_string()),
        }
    }
}

impl ServeError {
    /// Returns the error for a digest that no channel offers.
    pub(crate) fn unknown_file(sha256: &[u8]) -> Self {
        Self::UnknownFile(sha256.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
