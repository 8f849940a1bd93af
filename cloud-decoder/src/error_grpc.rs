//! [`ServeError`] as gRPC clients see it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::ServeError;

/// When an overloaded server wants to see a client again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

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
            ServeError::Overloaded { .. } => {
                let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
                Status::with_error_details(Code::ResourceExhausted, message, details)
            }
            ServeError::DeadlineExceeded => Status::deadline_exceeded(message),
            ServeError::Stopping => Status::unavailable(message),
            ServeError::Internal(reason) => {
                tracing::error!(reason, "request failed");
                Status::internal(message)
            }
        }
    }
}
