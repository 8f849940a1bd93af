//! A request, whatever it came through: checks, latents, heads, answers.

use std::{sync::Arc, time::Instant};

use lopside_latent::{LatentError, Limits, latent_space_of};

use crate::{
    Format, Output, Registry, ServeError, output,
    registry::{Served, ServedHead},
};

/// The most frames of one request.
pub const MAX_FRAMES: usize = 64;
/// The most outputs of one request.
pub const MAX_OUTPUTS: usize = 16;

/// One output asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The head's name; empty for the bundle's first.
    pub head: String,
    /// How to answer.
    pub format: Format,
}

/// Decodes frames with the heads of a registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Decoder {
    registry: Arc<Registry>,
    limits: Limits,
}

impl Decoder {
    /// A decoder over these bundles that takes frames within `limits`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, limits: Limits) -> Self {
        Self { registry, limits }
    }

    /// The bundles.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What the wanted heads make of every frame, in the order of the frames and, inside, of `wanted`. `bundle`
    /// may be empty: then the first frame's latent-space id says which. All frames are of one latent space. With
    /// nothing wanted, the bundle's first head answers in its natural format.
    ///
    /// # Errors
    /// [`ServeError`]; of a bad frame with its index.
    #[tracing::instrument(skip_all, fields(frames = frames.len(), bundle))]
    pub async fn decode<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        bundle: &str,
        wanted: &[Wanted],
        deadline: Option<Instant>,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        check_counts(frames.len(), wanted.len())?;
        let served = self.resolve(frames, bundle)?;
        tracing::Span::current().record("bundle", served.manifest.name.as_str());
        let natural = [Wanted { head: String::new(), format: Format::Natural }];
        let wanted = if wanted.is_empty() { &natural } else { wanted };
        let heads: Vec<&ServedHead> =
            wanted.iter().map(|wanted| served.head(&wanted.head)).collect::<Result<_, _>>()?;
        let latents = self.latents(&served, frames)?;
        let mut answers: Vec<Vec<Output>> = frames.iter().map(|_| Vec::with_capacity(wanted.len())).collect();
        for (wanted, head) in wanted.iter().zip(heads) {
            let values = head.engine.run(latents.clone(), frames.len(), deadline).await?;
            let each = values.len() / frames.len();
            for (answer, values) in answers.iter_mut().zip(values.chunks_exact(each)) {
                answer.push(output::make(&head.spec, &served.manifest.preprocess, wanted.format, values)?);
            }
        }
        Ok(answers)
    }

    fn resolve<F: AsRef<[u8]>>(&self, frames: &[F], bundle: &str) -> Result<Arc<Served>, ServeError> {
        let first = frames.first().map_or(&[][..], AsRef::as_ref);
        let id = latent_space_of(first).map_err(|source| ServeError::Frame { index: 0, source })?;
        if let Some(id) = id {
            // An id nobody knows is "not found" even when the bundle is named.
            let by_space = self.registry.by_space(id);
            return if bundle.is_empty() || by_space.is_err() {
                by_space
            } else {
                self.registry.by_name(bundle)
            }
            .cloned();
        }
        if bundle.is_empty() {
            return Err(ServeError::Frame { index: 0, source: LatentError::NoLatentSpace });
        }
        self.registry.by_name(bundle).cloned()
    }

    /// The latents of all frames, one after the other.
    fn latents<F: AsRef<[u8]>>(&self, served: &Served, frames: &[F]) -> Result<Vec<f32>, ServeError> {
        let mut latents = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            let latent = served
                .space
                .decode(frame.as_ref(), &self.limits)
                .and_then(|integers| served.space.dequantise(&integers))
                .map_err(|source| ServeError::Frame { index, source })?;
            latents.extend(latent);
        }
        Ok(latents)
    }
}

fn check_counts(frames: usize, outputs: usize) -> Result<(), ServeError> {
    if !(1..=MAX_FRAMES).contains(&frames) {
        return Err(ServeError::Request(format!("a request has 1 to {MAX_FRAMES} frames, not {frames}")));
    }
    if outputs > MAX_OUTPUTS {
        return Err(ServeError::Request(format!(
            "a request has at most {MAX_OUTPUTS} outputs, not {outputs}"
        )));
    }
    Ok(())
}
