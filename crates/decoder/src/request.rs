//! A request to decode frames, independent of the transport.

use std::time::Duration;

use lopside_latent::Limits;

use crate::{DecodeError, OutputFormat, ReferenceInput, RequestOptions};

/// Maximum number of frames per request.
pub const MAX_FRAMES: usize = 64;
/// Maximum number of outputs per request.
pub const MAX_OUTPUTS: usize = 16;

/// One requested output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRequest {
    /// The name of the head; empty for the bundle's first head.
    pub head: String,
    /// The version of the head; `None` for the newest.
    pub version: Option<u32>,
    /// The format of the output.
    pub format: OutputFormat,
}

/// Frames and the outputs to compute for them.
#[derive(Debug, Clone, Copy)]
pub struct DecodeRequest<'a, F> {
    /// The frames, 1 to [`MAX_FRAMES`], all of one latent space.
    pub frames: &'a [F],
    /// The name of the bundle; empty to select it by the latent-space id of the first frame.
    pub bundle: &'a str,
    /// The reference inputs of the frames, for heads that score: none, or one per frame.
    pub inputs: &'a [ReferenceInput],
    /// The requested outputs, at most [`MAX_OUTPUTS`]; empty for the bundle's first head in its natural
    /// format.
    pub outputs: &'a [OutputRequest],
    /// The deadline and the priority.
    pub options: RequestOptions,
}

/// Timeout of a request that does not set one.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl<'a, F> DecodeRequest<'a, F> {
    /// Creates a request for the first head, in its natural format, of the bundle that the latent-space ids
    /// of these frames name. The timeout is [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn new(frames: &'a [F]) -> Self {
        Self {
            frames,
            bundle: "",
            inputs: &[],
            outputs: &[],
            options: RequestOptions::with_timeout(DEFAULT_TIMEOUT),
        }
    }
}

/// A request whose bundle is known, with at least one frame and at least one output.
pub(crate) struct ResolvedRequest<'a, F> {
    pub(crate) frames: &'a [F],
    pub(crate) inputs: &'a [ReferenceInput],
    pub(crate) outputs: &'a [OutputRequest],
    pub(crate) limits: &'a Limits,
    pub(crate) options: RequestOptions,
}

/// Checks the numbers of frames, reference inputs and outputs of a request.
///
/// # Errors
/// [`DecodeError::InvalidRequest`].
pub(crate) fn check_counts(frames: usize, inputs: usize, outputs: usize) -> Result<(), DecodeError> {
    check_frames(frames)?;
    if inputs != 0 && inputs != frames {
        return Err(DecodeError::InvalidRequest(format!(
            "a request has either no reference inputs or one per frame, not {inputs}"
        )));
    }
    if outputs > MAX_OUTPUTS {
        return Err(DecodeError::InvalidRequest(format!(
            "a request has at most {MAX_OUTPUTS} outputs, not {outputs}"
        )));
    }
    Ok(())
}

/// Checks the number of frames of a request.
///
/// # Errors
/// [`DecodeError::InvalidRequest`] unless it is 1 to [`MAX_FRAMES`].
pub fn check_frames(frames: usize) -> Result<(), DecodeError> {
    if (1..=MAX_FRAMES).contains(&frames) {
        return Ok(());
    }
    Err(DecodeError::InvalidRequest(format!("a request has 1 to {MAX_FRAMES} frames, not {frames}")))
}
