use std::time::Duration;

use lopside_delivery::Class;
use lopside_spool::SpoolError;

/// Reason why a connection ended or the store cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UplinkError {
    /// The server did not answer, or the TLS handshake failed.
    #[error("no connection: {0}")]
    Connect(String),
    /// The cloud refused the request, or the connection broke.
    #[error("{} (gRPC {:?})", .0.message(), .0.code())]
    Status(#[from] Box<tonic::Status>),
    /// The cloud ended the stream.
    #[error("the cloud has closed the connection")]
    StreamEnded,
    /// The cloud sent an unexpected message.
    #[error("the cloud sent {0}: check that it is a cloud-decoder with an archive, of a compatible version")]
    UnexpectedAnswer(&'static str),
    /// The cloud did not acknowledge anything for this time.
    #[error("no acknowledgement for {} s", .0.as_secs())]
    Stalled(Duration),
    /// A stored record cannot be parsed.
    #[error("record {number} of the spool cannot be parsed: {reason}")]
    InvalidRecord {
        /// The number of the record.
        number: u64,
        /// The reason, as a message of the parser.
        reason: String,
    },
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The spool was copied or set back to an earlier state, and has taken a new name.
    #[error(
        "the spool {previous_name:08x} was copied or set back to an earlier state; its frames are sent under the new \
         name {name:08x}"
    )]
    SpoolSetBack {
        /// The name of the spool before.
        previous_name: u32,
        /// The new name of the spool.
        name: u32,
    },
    /// Frames in flight were evicted, because the spool is full and their class drops its oldest frames.
    #[error(
        "frames of class {class} were dropped on their way to the cloud, because the spool is full; the next connection \
         asks which of them have arrived"
    )]
    EvictedInFlight {
        /// The class of the frames.
        class: Class,
    },
    /// The spool was reopened in the meantime.
    #[error("the spool was reopened")]
    SpoolReopened,
    /// The store's thread has ended.
    #[error("the store has stopped")]
    StoreStopped,
}

impl UplinkError {
    /// Returns the pause that the cloud asks for in `grpc-retry-pushback-ms`.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let Self::Status(status) = self else { return None };
        let pushback = status.metadata().get("grpc-retry-pushback-ms")?;
        pushback.to_str().ok()?.parse().ok().map(Duration::from_millis)
    }
}

impl From<tonic::Status> for UplinkError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
