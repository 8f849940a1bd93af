//! A request, whatever it came through: checks, the bundle, its answers.

use std::{sync::Arc, time::Duration};

use lopside_latent::{LatentError, Limits, latent_space_of};

use crate::{
    Format, Output, Registry, SentInput, ServeError, Terms, picture::pixels_in_memory, room::Room,
    served::Served,
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
    /// Its version; none for the newest.
    pub version: Option<u32>,
    /// How to answer.
    pub format: Format,
}

/// Frames and what to make of them.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a, F> {
    /// The frames, 1 to [`MAX_FRAMES`], all of one latent space.
    pub frames: &'a [F],
    /// The bundle's name; empty when the first frame's latent-space id says which.
    pub bundle: &'a str,
    /// What the frames were made of, for heads that score: none, or one a frame.
    pub inputs: &'a [SentInput],
    /// At most [`MAX_OUTPUTS`]; none for the bundle's first head in its natural format.
    pub wanted: &'a [Wanted],
    /// Until when, and how urgently.
    pub terms: Terms,
}

/// The time of a request that does not say how long it has.
pub const DEFAULT_TIME: Duration = Duration::from_secs(30);

impl<'a, F> Request<'a, F> {
    /// These frames by the first head of the bundle that their ids name, in its natural format, within
    /// [`DEFAULT_TIME`].
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

/// A request whose bundle is known; at least one frame, at least one output.
pub(crate) struct Ask<'a, F> {
    pub(crate) frames: &'a [F],
    pub(crate) inputs: &'a [SentInput],
    pub(crate) wanted: &'a [Wanted],
    pub(crate) limits: &'a Limits,
    pub(crate) terms: Terms,
}

impl Decoder {
    /// A decoder over these bundles that takes frames within `limits`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, limits: Limits) -> Self {
        let room = Arc::new(Room::new(pixels_in_memory(&limits), registry.batching().queue));
        Self { registry, limits, room }
    }

    /// The bundles.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What frames are taken within.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where pictures take their room.
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// What the wanted heads make of every frame, in the order of the frames and, inside, of what is wanted. To be
    /// awaited in a tokio runtime with timers, which deadlines need.
    ///
    /// # Errors
    /// [`ServeError`]; of a bad frame or input with its index.
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

    /// The bundle that will decode these frames: the named one, or the one that the first frame's latent space names.
    ///
    /// # Errors
    /// [`ServeError::Frame`] where neither says which; [`ServeError`] of what is not served.
    pub(crate) fn resolve<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        bundle: &str,
    ) -> Result<Arc<Served>, ServeError> {
        let first = frames.first().map_or(&[][..], AsRef::as_ref);
        let id = latent_space_of(first).map_err(|source| ServeError::Frame { index: 0, source })?;
        let catalog = self.registry.catalog();
        let served = match id {
            // An id nobody knows is "not found" even when the bundle is named.
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
        return Err(ServeError::Request(format!("a request has no inputs or one a frame, not {inputs}")));
    }
    if outputs > MAX_OUTPUTS {
        return Err(ServeError::Request(format!(
            "a request has at most {MAX_OUTPUTS} outputs, not {outputs}"
        )));
    }
    Ok(())
}

/// Whether a request may have so many frames.
///
/// # Errors
/// [`ServeError::Request`].
pub(crate) fn check_frames(frames: usize) -> Result<(), ServeError> {
    if (1..=MAX_FRAMES).contains(&frames) {
        return Ok(());
    }
    Err(ServeError::Request(format!("a request has 1 to {MAX_FRAMES} frames, not {frames}")))
}
