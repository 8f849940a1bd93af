//! [`ServeError`] as gRPC clients see it.

use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::ServeError;

impl From<ServeError> for Status {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Request(_) | ServeError::Frame { .. } | ServeError::OtherVersion { .. } => {
                Status::invalid_argument(message)
            }
            ServeError::UnknownLatentSpace(_)
            | ServeError::UnknownBundle(_)
            | ServeError::UnknownHead { .. } => Status::not_found(message),
            ServeError::Overloaded { retry_after, .. } => {
                let details = ErrorDetails::with_retry_info(Some(retry_after));
                let mut metadata = MetadataMap::new();
                // Clients that retry by themselves look for this.
                metadata.insert("grpc-retry-pushback-ms", (retry_after.as_millis() as u64).into());
                let code = Code::ResourceExhausted;
                Status::with_error_details_and_metadata(code, message, details, metadata)
            }
            ServeError::Refused { .. } => Status::failed_precondition(message),
            ServeError::DeadlineExceeded => Status::deadline_exceeded(message),
            ServeError::Stopping => Status::unavailable(message),
            ServeError::Internal(reason) => {
                tracing::error!(reason, "request failed");
                Status::internal(message)
            }
        }
    }
}
