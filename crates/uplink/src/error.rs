use std::time::Duration;

use lopside_spool::SpoolError;

/// Why a connection has ended, or the store cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UplinkError {
    /// Nobody answers, or the two do not trust each other.
    #[error("no connection: {0}")]
    Connect(String),
    /// The cloud has refused, or the connection broke.
    #[error("{} (gRPC {:?})", .0.message(), .0.code())]
    Status(#[from] Box<tonic::Status>),
    /// The cloud has ended the call.
    #[error("the cloud has ended the connection")]
    Ended,
    /// The cloud sent something else than it should.
    #[error("the cloud sent {0}: is it a cloud-decoder with an archive, of a version that fits?")]
    Answer(&'static str),
    /// Nothing was acknowledged for too long.
    #[error("no acknowledgement for {} s", .0.as_secs())]
    Stalled(Duration),
    /// A stored record cannot be read.
    #[error("record {number} of the spool is not one of this program's: {reason}")]
    Record {
        /// Its number.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// The spool does not go on.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The spool was opened again meanwhile.
    #[error("the spool was opened again")]
    Interrupted,
    /// The store's thread has gone.
    #[error("the store has stopped")]
    Stopped,
}

impl UplinkError {
    /// How long the cloud asks to wait.
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
