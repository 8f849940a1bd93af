//! Decoding of one request, independent of the transport: checks, bundle lookup and outputs.

use std::{sync::Arc, time::Duration};

use lopside_latent::{LatentError, Limits, latent_space_of};

use crate::{
    Format, Output, Registry, SentInput, ServeError, Terms, picture::pixels_in_memory, room::Room,
    served::Served,
};

/// Maximum number of frames per request.
pub const MAX_FRAMES: usize = 64;
/// Maximum number of outputs per request.
pub const MAX_OUTPUTS: usize = 16;

/// One requested output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name of the head; empty for the bundle's first head.
    pub head: String,
    /// The version of the head; `None` for the newest.
    pub version: Option<u32>,
    /// The format of the output.
    pub format: Format,
}

/// Frames and the outputs to compute for them.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a, F> {
    /// The frames, 1 to [`MAX_FRAMES`], all of one latent space.
    pub frames: &'a [F],
    /// The name of the bundle; empty to select it by the latent-space id of the first frame.
    pub bundle: &'a str,
    /// The reference inputs of the frames, for heads that score: none, or one per frame.
    pub inputs: &'a [SentInput],
    /// The requested outputs, at most [`MAX_OUTPUTS`]; empty for the bundle's first head in its natural
    /// format.
    pub wanted: &'a [Wanted],
    /// The deadline and the priority.
    pub terms: Terms,
}

/// Timeout of a request that does not set one.
pub const DEFAULT_TIME: Duration = Duration::from_secs(30);

impl<'a, F> Request<'a, F> {
    /// Creates a request for the first head, in its natural format, of the bundle that the latent-space ids
    /// of these frames name. The timeout is [`DEFAULT_TIME`].
    #[must_use]
    pub fn new(frames: &'a [F]) -> Self {
        Self { frames, bundle: "", inputs: &[], wanted: &[], terms: Terms::within(DEFAULT_TIME) }
    }
}

/// Decodes frames with the heads of a registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Decoder {
    registry: Arc<Registry>,
    limits: Limits,
    room: Arc<Room>,
}

/// A request whose bundle is known, with at least one frame and at least one output.
pub(crate) struct Ask<'a, F> {
    pub(crate) frames: &'a [F],
    pub(crate) inputs: &'a [SentInput],
    pub(crate) wanted: &'a [Wanted],
    pub(crate) limits: &'a Limits,
    pub(crate) terms: Terms,
}

impl Decoder {
    /// Creates a decoder over these bundles that accepts frames within `limits`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, limits: Limits) -> Self {
        let room = Arc::new(Room::new(pixels_in_memory(&limits), registry.batching().queue));
        Self { registry, limits, room }
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
    pub(crate) fn room(&self) -> &Room {
        &self.room
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
        request: Request<'_, F>,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        let Request { frames, bundle, inputs, wanted, terms } = request;
        check_counts(frames.len(), inputs.len(), wanted.len())?;
        let served = self.resolve(frames, bundle)?;
        tracing::Span::current().record("bundle", served.name());
        let natural = [Wanted { head: String::new(), version: None, format: Format::Natural }];
        let wanted = if wanted.is_empty() { &natural } else { wanted };
        let ask = Ask { frames, inputs, wanted, limits: &self.limits, terms };
        match served.as_ref() {
            Served::Vector(service) => service.decode(&ask, &self.room).await,
            Served::Picture(service) => service.decode(&ask, &self.room).await,
        }
    }

    /// Returns the bundle that decodes these frames: the named one, or the one with the latent space of the
    /// first frame.
    ///
    /// # Errors
    /// [`ServeError::Frame`] if the first frame is invalid or neither selects a bundle;
    /// [`ServeError::UnknownBundle`] or [`ServeError::UnknownLatentSpace`] if it is not served.
    pub(crate) fn resolve<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        bundle: &str,
    ) -> Result<Arc<Served>, ServeError> {
        let first = frames.first().map_or(&[][..], AsRef::as_ref);
        let id = latent_space_of(first).map_err(|source| ServeError::Frame { index: 0, source })?;
        let catalog = self.registry.catalog();
        let served = match id {
            // An unknown id is "not found" even if the bundle is named.
            Some(id) if bundle.is_empty() => catalog.by_space(id),
            Some(id) => catalog.by_space(id).and_then(|_| catalog.by_name_and_space(bundle, id)),
            None if bundle.is_empty() => {
                Err(ServeError::Frame { index: 0, source: LatentError::NoLatentSpace })
            }
            None => catalog.by_name(bundle),
        };
        served.cloned()
    }
}

fn check_counts(frames: usize, inputs: usize, outputs: usize) -> Result<(), ServeError> {
    check_frames(frames)?;
    if inputs != 0 && inputs != frames {
        return Err(ServeError::Request(format!(
            "a request has either no reference inputs or one per frame, not {inputs}"
        )));
    }
    if outputs > MAX_OUTPUTS {
        return Err(ServeError::Request(format!(
            "a request has at most {MAX_OUTPUTS} outputs, not {outputs}"
        )));
    }
    Ok(())
}

/// Checks the number of frames of a request.
///
/// # Errors
/// [`ServeError::Request`] unless it is 1 to [`MAX_FRAMES`].
pub(crate) fn check_frames(frames: usize) -> Result<(), ServeError> {
    if (1..=MAX_FRAMES).contains(&frames) {
        return Ok(());
    }
    Err(ServeError::Request(format!("a request has 1 to {MAX_FRAMES} frames, not {frames}")))
}
