//! Maps [`ServeError`] to a gRPC status.

use std::time::Duration;

use lopside_decoder::DecodeError;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::error_message::error_message;
use crate::{ServeError, telemetry::request_context::current_request_id};

/// Returns `RESOURCE_EXHAUSTED` with the delay before a retry.
pub(crate) fn resource_exhausted(message: String, wait: Duration) -> Status {
    let details = ErrorDetails::with_retry_info(Some(wait));
    let mut metadata = MetadataMap::new();
    let pushback = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    // Clients with automatic retries read this key.
    metadata.insert("grpc-retry-pushback-ms", pushback.into());
    Status::with_error_details_and_metadata(Code::ResourceExhausted, message, details, metadata)
}

impl From<ServeError> for Status {
    fn from(error: ServeError) -> Self {
        let message = error_message(&error);
        match error {
            ServeError::Decode(error) => decode_status(error, message),
            ServeError::InvalidRequest(_) => Status::invalid_argument(message),
            ServeError::BodyRefused(refusal) => match refusal.retry_after() {
                Some(wait) => resource_exhausted(message, wait),
                None => Status::deadline_exceeded(message),
            },
            ServeError::DeviceForbidden(_) => Status::permission_denied(message),
            ServeError::UnknownFrame(_) | ServeError::UnknownChannel(_) | ServeError::UnknownFile(_) => {
                Status::not_found(message)
            }
            ServeError::NoArchive | ServeError::NoChannels | ServeError::ChannelUnavailable { .. } => {
                Status::failed_precondition(message)
            }
            ServeError::CostLimited { wait } => resource_exhausted(message, wait),
            ServeError::CostTooHigh { .. } => Status::failed_precondition(message),
            ServeError::OffsetOutOfRange { .. } => Status::out_of_range(message),
            ServeError::FrameConflict(_) => Status::already_exists(message),
            ServeError::ConnectionReplaced => Status::aborted(message),
            ServeError::Stopping | ServeError::NotReady(_) => Status::unavailable(message),
            ServeError::ArchiveUnavailable(reason) => {
                tracing::error!(reason, request_id = current_request_id(), "the archive failed");
                Status::unavailable(message)
            }
            ServeError::Internal(reason) => {
                tracing::error!(reason, request_id = current_request_id(), "request failed");
                Status::internal(message)
            }
        }
    }
}

fn decode_status(error: DecodeError, message: String) -> Status {
    match error {
        DecodeError::InvalidRequest(_)
        | DecodeError::InvalidFrame { .. }
        | DecodeError::ImageTooLarge { .. }
        | DecodeError::WrongFrameVersion { .. } => Status::invalid_argument(message),
        DecodeError::UnknownLatentSpace(_)
        | DecodeError::UnknownBundle(_)
        | DecodeError::UnknownHead { .. } => Status::not_found(message),
        DecodeError::BundleRefused { .. } => Status::failed_precondition(message),
        DecodeError::Overloaded { retry_after, .. } => resource_exhausted(message, retry_after),
        DecodeError::DeadlineTooShort { .. } | DecodeError::DeadlineExceeded => {
            Status::deadline_exceeded(message)
        }
        DecodeError::Internal(reason) => {
            tracing::error!(reason, request_id = current_request_id(), "request failed");
            Status::internal(message)
        }
        // The enum may grow; an unknown variant is a fault of the server.
        _ => Status::internal(message),
    }
}
