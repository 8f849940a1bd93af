//! Serves the bundle of an image codec: each image is a job, and all work except the head's is done on
//! blocking threads.

use std::sync::Arc;

use lopside_bundle::picture::{PictureBundle, PictureHead, PictureHeadSpec, PictureManifest};
use lopside_latent::{LatentError, Limits, picture::PictureHeader};

use crate::{
    Format, Output, ServeError, StartError, Terms, Value, Wanted,
    decode::Ask,
    heads::{Heads, ServedHead, Starter},
    model::Share,
    output::{self, Makes},
    room::{Place, Room, blocking},
};

use super::codec::{Maps, PictureCodec};

/// The frame version of image codecs.
const FRAME_VERSION: u8 = 2;

/// A head of an image codec.
pub(crate) type PictureHeadServed = ServedHead<PictureHeadSpec>;

/// A requested head and its output format.
type Asked<'a> = (&'a Arc<PictureHeadServed>, Format);

/// The bundle of an image codec and the engines of its heads.
#[derive(Debug)]
pub(crate) struct PictureService {
    pub(crate) manifest: Arc<PictureManifest>,
    pub(crate) codec: Arc<PictureCodec>,
    pub(crate) heads: Heads<PictureHeadSpec>,
}

/// Returns the error for a frame that an image codec refused.
pub(crate) fn refused(bundle: &str, index: usize, source: LatentError) -> ServeError {
    ServeError::of_frame(index, source, bundle, FRAME_VERSION)
}

impl PictureService {
    /// Starts the engines of the heads.
    ///
    /// # Errors
    /// [`StartError::Head`] with the name of the head that was refused.
    pub(crate) fn start(bundle: PictureBundle, starter: &Starter) -> Result<Self, StartError> {
        let PictureBundle { manifest, space, heads, .. } = bundle;
        let codec = PictureCodec::new(&manifest, space);
        let start = |PictureHead { spec, model }| {
            let load = |spec: &PictureHeadSpec, tries| codec.load(&starter.runtime, spec, &model, tries);
            ServedHead::start(starter, &manifest.name, spec, load)
        };
        let heads = heads.into_iter().map(start).collect::<Result<_, _>>()?;
        let heads = Heads::new(&manifest.name, heads);
        Ok(Self { manifest: Arc::new(manifest), codec: Arc::new(codec), heads })
    }

    /// Returns this bundle with the heads of all of these bundles, which have the same latent space.
    pub(crate) fn with_heads_of<'a>(&self, all: impl Iterator<Item = &'a Self>) -> Self {
        let heads = self.heads.union(all.map(|service| &service.heads));
        Self { manifest: Arc::clone(&self.manifest), codec: Arc::clone(&self.codec), heads }
    }

    /// Decodes every frame with the requested heads. All frames are checked before the first one is decoded.
    ///
    /// # Errors
    /// [`ServeError`]; for an invalid frame, with its index.
    pub(crate) async fn decode<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        ask: &Ask<'_, F>,
        room: &Room,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        let heads = self.all_wanted(ask.wanted)?;
        let scale = scale(&heads);
        let check = |(index, frame): (usize, &F)| {
            let pixels = self.codec.check(frame.as_ref(), scale, ask.limits);
            pixels.map_err(|source| refused(&self.manifest.name, index, source))
        };
        let pixels = ask.frames.iter().enumerate().map(check).collect::<Result<Vec<_>, _>>()?;
        let mut answers = Vec::with_capacity(pixels.len());
        for (index, pixels) in pixels.into_iter().enumerate() {
            let place = Arc::new(room.take(pixels, &heads[0].0.spec.name, ask.terms).await?);
            let maps = self.maps(ask, index, Arc::clone(&place)).await?;
            answers.push(self.outputs(&heads, maps, ask.terms, &place).await?);
        }
        Ok(answers)
    }

    /// Runs the requested heads on feature maps.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) async fn decode_maps(
        &self,
        items: Vec<Maps>,
        wanted: &[Wanted],
        (limits, terms): (&Limits, Terms),
        room: &Room,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        let heads = self.all_wanted(wanted)?;
        let scale = scale(&heads);
        let mut answers = Vec::with_capacity(items.len());
        for maps in items {
            let pixels = self.codec.pixels(maps.header, scale, limits);
            let pixels = pixels.map_err(|error| ServeError::Request(error.to_string()))?;
            let place = Arc::new(room.take(pixels, &heads[0].0.spec.name, terms).await?);
            answers.push(self.outputs(&heads, maps, terms, &place).await?);
        }
        Ok(answers)
    }

    /// Returns the requested heads and their output formats.
    fn all_wanted(&self, wanted: &[Wanted]) -> Result<Vec<Asked<'_>>, ServeError> {
        wanted.iter().map(|wanted| self.wanted(wanted)).collect()
    }

    /// Returns a requested head and its output format.
    fn wanted(&self, wanted: &Wanted) -> Result<Asked<'_>, ServeError> {
        let head = self.heads.version(&wanted.head, wanted.version)?;
        match wanted.format {
            Format::Natural | Format::Png => Ok((head, Format::Png)),
            Format::Tensor => Ok((head, Format::Tensor)),
            Format::ClassScores | Format::Anomaly => {
                Err(output::mismatch(&head.spec.name, Makes::Pictures, wanted.format))
            }
        }
    }

    async fn maps<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        ask: &Ask<'_, F>,
        index: usize,
        place: Arc<Place>,
    ) -> Result<Maps, ServeError> {
        let (codec, frame, limits) = (Arc::clone(&self.codec), ask.frames[index].clone(), *ask.limits);
        let maps = blocking(place, move || codec.maps(frame.as_ref(), &limits)).await?;
        maps.map_err(|source| refused(&self.manifest.name, index, source))
    }

    async fn outputs(
        &self,
        heads: &[Asked<'_>],
        maps: Maps,
        terms: Terms,
        place: &Arc<Place>,
    ) -> Result<Vec<Output>, ServeError> {
        let header = maps.header;
        let questions: Vec<_> =
            heads.iter().map(|(head, _)| self.codec.question(&maps, &head.spec)).collect();
        // The inference inputs share the maps, so that the last input frees them.
        drop(maps);
        let mut outputs = Vec::with_capacity(heads.len());
        for ((head, format), question) in heads.iter().zip(questions) {
            let answer = head.run(question, terms).await?;
            let (codec, spec, format) = (Arc::clone(&self.codec), head.spec.clone(), *format);
            let make = move || value(&codec, &spec, format, header, answer);
            let value = blocking(Arc::clone(place), make).await??;
            outputs.push(Output { head: head.spec.name.clone(), version: head.spec.version, value });
        }
        Ok(outputs)
    }
}

/// Returns the largest upscaling factor of the heads.
fn scale(heads: &[Asked<'_>]) -> u32 {
    heads.iter().map(|(head, _)| head.spec.scale).max().unwrap_or(1)
}

fn value(
    codec: &PictureCodec,
    head: &PictureHeadSpec,
    format: Format,
    header: PictureHeader,
    answer: Share,
) -> Result<Value, ServeError> {
    let raster = codec.raster(header, head, &answer);
    if format == Format::Tensor {
        return Ok(raster.tensor());
    }
    let image = raster.image(header.grey)?;
    drop(answer);
    Ok(Value::Png(output::encode_png(&image)?))
}
