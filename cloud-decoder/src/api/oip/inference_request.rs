//! The parts of an inference request, independent of the transport.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use lopside_decoder::{DecodeError, Priority, RequestOptions, check_frames};
use lopside_latent::{LatentSpaceId, peek_latent_space};

use super::{
    model::FRAME_INPUT,
    tensor::{InputTensor, OutputTensor},
};
use crate::ServeError;

/// An inference request.
#[derive(Debug)]
pub(super) struct InferRequest {
    pub(super) model: String,
    /// The version of the model; empty for the newest.
    pub(super) version: String,
    pub(super) inputs: Vec<InputTensor>,
    /// The requested outputs; empty for the model's own.
    pub(super) outputs: Vec<RequestedOutput>,
    pub(super) options: RequestOptions,
}

/// A requested output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestedOutput {
    pub(super) name: String,
    /// Number of classes to return instead of the values, the most probable first; `None` for the values.
    pub(super) classes: Option<usize>,
}

/// The outputs of an inference.
#[derive(Debug)]
pub(super) struct InferResponse {
    pub(super) model: String,
    pub(super) version: u32,
    pub(super) outputs: Vec<OutputTensor>,
}

/// The parameters of a request, besides its tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// Timeout in microseconds; `None` or 0 for the server's default.
    pub(super) timeout: Option<u64>,
    /// Priority, 1 for the highest; `None` or 0 for the default.
    pub(super) priority: Option<u64>,
}

impl Parameters {
    /// Applies the parameters to the request options. A timeout can only shorten the deadline.
    pub(super) fn apply_to(self, options: RequestOptions) -> RequestOptions {
        let time = self.timeout.filter(|&micros| micros > 0).map(Duration::from_micros);
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        RequestOptions {
            deadline: deadline.map_or(options.deadline, |deadline| deadline.min(options.deadline)),
            priority: match self.priority {
                None | Some(0) => options.priority,
                Some(1) => Priority::High,
                Some(2) => Priority::Normal,
                Some(_) => Priority::Low,
            },
        }
    }
}

/// The input of a request: frames, or the layers themselves.
#[derive(Debug)]
pub(super) enum InferenceSource {
    Frames(Vec<Bytes>),
    Layers(Vec<InputTensor>),
}

impl InferenceSource {
    pub(super) fn from_inputs(mut inputs: Vec<InputTensor>) -> Result<Self, ServeError> {
        let Some(index) = inputs.iter().position(|input| input.name == FRAME_INPUT) else {
            return Ok(Self::Layers(inputs));
        };
        let frames = inputs.swap_remove(index).texts()?;
        if !inputs.is_empty() {
            let reason = format!("send either {FRAME_INPUT:?} or the latent's layers, not both");
            return Err(ServeError::InvalidRequest(reason));
        }
        check_frames(frames.len())?;
        Ok(Self::Frames(frames))
    }

    /// Returns the latent space that the first frame names; `None` for layers and for a frame without an id.
    pub(super) fn latent_space(&self) -> Result<Option<LatentSpaceId>, ServeError> {
        match self {
            Self::Frames(frames) => {
                let first = frames.first().map_or(&[][..], AsRef::as_ref);
                peek_latent_space(first)
                    .map_err(|source| DecodeError::InvalidFrame { index: 0, source }.into())
            }
            Self::Layers(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_take_precedence_unless_the_deadline_is_earlier() {
        let server = RequestOptions::with_timeout(Duration::from_secs(9));
        let requested = Parameters { timeout: Some(1_000_000), priority: Some(1) }.apply_to(server);
        assert_eq!(requested.priority, Priority::High);
        assert!(requested.deadline <= Instant::now() + Duration::from_secs(1));
        let later = Parameters { timeout: Some(5_000_000), priority: Some(0) }.apply_to(requested);
        assert_eq!(later, requested);
        assert_eq!(Parameters::default().apply_to(server), server);
    }
}
