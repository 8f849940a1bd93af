//! The decoder: finds the bundle of a request and runs its heads, whatever the transport.

use std::sync::Arc;

use lopside_latent::{LatentError, Limits, peek_latent_space};

use crate::{
    DecodeError, DecodeRequest, Output, OutputFormat, OutputRequest, Registry,
    image_codec::pixels_in_memory,
    memory_budget::MemoryBudget,
    request::{ResolvedRequest, check_counts},
    served_bundle::ServedBundle,
};

/// Decodes frames with the heads of a registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Decoder {
    registry: Arc<Registry>,
    limits: Limits,
    memory_budget: Arc<MemoryBudget>,
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
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the memory budget of images.
    #[must_use]
    pub fn memory_budget(&self) -> &MemoryBudget {
        &self.memory_budget
    }

    /// Decodes every frame with the requested heads. The outputs are in the order of the frames and, within
    /// each frame, in the order of the requested outputs. The future must be awaited in a tokio runtime with
    /// timers, which deadlines need.
    ///
    /// # Errors
    /// [`DecodeError`]; for an invalid frame or input, with its index.
    #[tracing::instrument(skip_all, fields(frames = request.frames.len(), bundle))]
    pub async fn decode<F: AsRef<[u8]> + Clone + Send + Sync + 'static>(
        &self,
        request: DecodeRequest<'_, F>,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let DecodeRequest { frames, bundle, inputs, outputs, options } = request;
        check_counts(frames.len(), inputs.len(), outputs.len())?;
        let served = self.find_bundle(frames, bundle)?;
        tracing::Span::current().record("bundle", served.name());
        let natural = [natural_output()];
        let outputs = if outputs.is_empty() { &natural } else { outputs };
        let request = ResolvedRequest { frames, inputs, outputs, limits: &self.limits, options };
        match served.as_ref() {
            ServedBundle::FixedLatent(service) => service.decode(&request, &self.memory_budget).await,
            ServedBundle::ImageCodec(service) => service.decode(&request, &self.memory_budget).await,
        }
    }

    /// Returns the cost of a request in multiply-accumulates, as the bundle and the headers of the frames declare it.
    /// No frame is decoded.
    ///
    /// # Errors
    /// [`DecodeError`], as [`decode`](Self::decode) returns it for the same invalid request.
    pub fn declared_macs<F: AsRef<[u8]>>(&self, request: &DecodeRequest<'_, F>) -> Result<u64, DecodeError> {
        let DecodeRequest { frames, bundle, inputs, outputs, .. } = *request;
        check_counts(frames.len(), inputs.len(), outputs.len())?;
        let natural = [natural_output()];
        let outputs = if outputs.is_empty() { &natural } else { outputs };
        match self.find_bundle(frames, bundle)?.as_ref() {
            ServedBundle::FixedLatent(service) => service.macs_of_outputs(outputs, frames.len()),
            ServedBundle::ImageCodec(service) => service.declared_macs(frames, outputs, &self.limits),
        }
    }

    /// Returns the bundle that decodes these frames: the named one, or the one with the latent space of the
    /// first frame.
    ///
    /// # Errors
    /// [`DecodeError::InvalidFrame`] if the first frame is invalid or neither selects a bundle;
    /// [`DecodeError::UnknownBundle`] or [`DecodeError::UnknownLatentSpace`] if it is not served.
    pub fn find_bundle<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        bundle: &str,
    ) -> Result<Arc<ServedBundle>, DecodeError> {
        let first = frames.first().map_or(&[][..], AsRef::as_ref);
        let id = peek_latent_space(first).map_err(|source| DecodeError::InvalidFrame { index: 0, source })?;
        let catalog = self.registry.catalog();
        let served = match id {
            // An unknown id is "not found" even if the bundle is named.
            Some(id) if bundle.is_empty() => catalog.by_space(id),
            Some(id) => catalog.by_space(id).and_then(|_| catalog.by_name_and_space(bundle, id)),
            None if bundle.is_empty() => {
                Err(DecodeError::InvalidFrame { index: 0, source: LatentError::MissingLatentSpace })
            }
            None => catalog.by_name(bundle),
        };
        served.cloned()
    }
}

/// Returns the output of a request that does not name one.
fn natural_output() -> OutputRequest {
    OutputRequest { head: String::new(), version: None, format: OutputFormat::Natural }
}
