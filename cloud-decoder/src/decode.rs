//! Decoding of one request, independent of the transport: checks, bundle lookup and outputs.

use std::{sync::Arc, time::Duration};

use lopside_latent::{LatentError, Limits, peek_latent_space};

use crate::{
    Output, OutputFormat, ReferenceInput, Registry, RequestOptions, ServeError, picture::pixels_in_memory,
    room::MemoryBudget, served::ServedBundle,
};

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

/// Decodes frames with the heads of a registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Decoder {
    registry: Arc<Registry>,
    limits: Limits,
    memory_budget: Arc<MemoryBudget>,
}

/// A request whose bundle is known, with at least one frame and at least one output.
pub(crate) struct ResolvedRequest<'a, F> {
    pub(crate) frames: &'a [F],
    pub(crate) inputs: &'a [ReferenceInput],
    pub(crate) outputs: &'a [OutputRequest],
    pub(crate) limits: &'a Limits,
    pub(crate) options: RequestOptions,
}

impl Decoder {
    /// Creates a decoder over these bundles that accepts frames within `limits`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, limits: Limits) -> Self {
        let memory_budget =
            Arc::new(MemoryBudget::new(pixels_in_memory(&limits), registry.batching().max_jobs));
        Self { registry, limits, memory_budget }
    }

    /// Returns the registry of the bundles.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns the limits on frames.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the memory budget of images.
    pub(crate) fn memory_budget(&self) -> &MemoryBudget {
        &self.memory_budget
    }

    /// Decodes every frame with the requested heads. The outputs are in the order of the frames and, within
    /// each frame, in the order of the requested outputs. The future must be awaited in a tokio runtime with
    /// timers, which deadlines need.
    ///
    /// # Errors
    /// [`ServeError`]; for an invalid frame or input, with its index.
    #[tracing::instrument(skip_all, fields(frames = request.frames.len(), bundle))]
    pub async fn decode<F: AsRef<[u8]> + Clone + Send + Sync + 'static>(
        &self,
        request: DecodeRequest<'_, F>,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        let DecodeRequest { frames, bundle, inputs, outputs, options } = request;
        check_counts(frames.len(), inputs.len(), outputs.len())?;
        let served = self.find_bundle(frames, bundle)?;
        tracing::Span::current().record("bundle", served.name());
        let natural = [OutputRequest { head: String::new(), version: None, format: OutputFormat::Natural }];
        let outputs = if outputs.is_empty() { &natural } else { outputs };
        let ask = ResolvedRequest { frames, inputs, outputs, limits: &self.limits, options };
        match served.as_ref() {
            ServedBundle::FixedLatent(service) => service.decode(&ask, &self.memory_budget).await,
            ServedBundle::ImageCodec(service) => service.decode(&ask, &self.memory_budget).await,
        }
    }

    /// Returns the bundle that decodes these frames: the named one, or the one with the latent space of the
    /// first frame.
    ///
    /// # Errors
    /// [`ServeError::InvalidFrame`] if the first frame is invalid or neither selects a bundle;
    /// [`ServeError::UnknownBundle`] or [`ServeError::UnknownLatentSpace`] if it is not served.
    pub(crate) fn find_bundle<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        bundle: &str,
    ) -> Result<Arc<ServedBundle>, ServeError> {
        let first = frames.first().map_or(&[][..], AsRef::as_ref);
        let id = peek_latent_space(first).map_err(|source| ServeError::InvalidFrame { index: 0, source })?;
        let catalog = self.registry.catalog();
        let served = match id {
            // An unknown id is "not found" even if the bundle is named.
            Some(id) if bundle.is_empty() => catalog.by_space(id),
            Some(id) => catalog.by_space(id).and_then(|_| catalog.by_name_and_space(bundle, id)),
            None if bundle.is_empty() => {
                Err(ServeError::InvalidFrame { index: 0, source: LatentError::MissingLatentSpace })
            }
            None => catalog.by_name(bundle),
        };
        served.cloned()
    }
}

fn check_counts(frames: usize, inputs: usize, outputs: usize) -> Result<(), ServeError> {
    check_frames(frames)?;
    if inputs != 0 && inputs != frames {
        return Err(ServeError::InvalidRequest(format!(
            "a request has either no reference inputs or one per frame, not {inputs}"
        )));
    }
    if outputs > MAX_OUTPUTS {
        return Err(ServeError::InvalidRequest(format!(
            "a request has at most {MAX_OUTPUTS} outputs, not {outputs}"
        )));
    }
    Ok(())
}

/// Checks the number of frames of a request.
///
/// # Errors
/// [`ServeError::InvalidRequest`] unless it is 1 to [`MAX_FRAMES`].
pub(crate) fn check_frames(frames: usize) -> Result<(), ServeError> {
    if (1..=MAX_FRAMES).contains(&frames) {
        return Ok(());
    }
    Err(ServeError::InvalidRequest(format!("a request has 1 to {MAX_FRAMES} frames, not {frames}")))
}
