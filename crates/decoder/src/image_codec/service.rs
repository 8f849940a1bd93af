//! Serves the bundle of an image codec: each image is a job, and all work except the head's is done on
//! blocking threads.

use std::sync::Arc;

use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecHead, ImageCodecHeadSpec, ImageCodecManifest};
use lopside_latent::{LatentError, Limits, image_codec::ImageCodecHeader};

use crate::{
    DecodeError, LoadError, Output, OutputFormat, OutputRequest, OutputValue, RequestOptions,
    heads::{HeadLoader, Heads, ServedHead},
    memory_budget::{MemoryBudget, MemoryPermit, run_with_permit},
    model::BatchSlice,
    output::{self, OutputKind},
    png,
    request::ResolvedRequest,
};

use super::codec::{FeatureMaps, ImageCodec};

/// The frame version of image codecs.
const FRAME_VERSION: u8 = 2;

/// A head of an image codec.
pub(super) type ServedImageHead = ServedHead<ImageCodecHeadSpec>;

/// A requested head and its output format.
type HeadAndFormat<'a> = (&'a Arc<ServedImageHead>, OutputFormat);

/// The bundle of an image codec and the engines of its heads.
#[derive(Debug)]
pub struct ImageCodecService {
    /// The manifest of the bundle.
    pub manifest: Arc<ImageCodecManifest>,
    /// The conversions between frames, feature maps and images.
    pub codec: Arc<ImageCodec>,
    /// The heads, with each version, also of other bundles of the same latent space.
    pub heads: Heads<ImageCodecHeadSpec>,
}

/// Returns the error for a frame that an image codec refused.
pub(super) fn frame_error(bundle: &str, index: usize, source: LatentError) -> DecodeError {
    DecodeError::from_frame_error(index, source, bundle, FRAME_VERSION)
}

impl ImageCodecService {
    /// Starts the engines of the heads.
    ///
    /// # Errors
    /// [`LoadError::Head`] with the name of the head that was refused.
    pub(crate) fn start(bundle: ImageCodecBundle, starter: &HeadLoader) -> Result<Self, LoadError> {
        let ImageCodecBundle { manifest, space, heads, .. } = bundle;
        let codec = ImageCodec::new(&manifest, space);
        let heads = heads.into_iter().map(|ImageCodecHead { spec, model }| {
            ServedHead::start(starter, &manifest.name, spec, |spec, tries| {
                codec.load(&starter.runtime, spec, &model, tries)
            })
        });
        let heads = Heads::new(&manifest.name, heads.collect::<Result<_, _>>()?);
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
    /// [`DecodeError`]; for an invalid frame, with its index.
    pub(crate) async fn decode<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        ask: &ResolvedRequest<'_, F>,
        room: &MemoryBudget,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let heads = self.requested_heads(ask.outputs)?;
        let scale = largest_scale(&heads);
        let mut pixels = Vec::with_capacity(ask.frames.len());
        for (index, frame) in ask.frames.iter().enumerate() {
            let found = self.codec.check_frame(frame.as_ref(), scale, ask.limits);
            pixels.push(found.map_err(|source| frame_error(&self.manifest.name, index, source))?);
        }
        let mut answers = Vec::with_capacity(pixels.len());
        for (index, pixels) in pixels.into_iter().enumerate() {
            let place = Arc::new(room.acquire(pixels, &heads[0].0.spec.name, ask.options).await?);
            let maps = self.unpack_maps(ask, index, Arc::clone(&place)).await?;
            answers.push(self.run_heads(&heads, maps, ask.options, &place).await?);
        }
        Ok(answers)
    }

    /// Runs the requested heads on feature maps.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub async fn run_maps(
        &self,
        items: Vec<FeatureMaps>,
        wanted: &[OutputRequest],
        (limits, terms): (&Limits, RequestOptions),
        room: &MemoryBudget,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let heads = self.requested_heads(wanted)?;
        let scale = largest_scale(&heads);
        let mut answers = Vec::with_capacity(items.len());
        for maps in items {
            let pixels = self.codec.output_pixels(maps.header, scale, limits);
            let pixels = pixels.map_err(|error| DecodeError::InvalidRequest(error.to_string()))?;
            let place = Arc::new(room.acquire(pixels, &heads[0].0.spec.name, terms).await?);
            answers.push(self.run_heads(&heads, maps, terms, &place).await?);
        }
        Ok(answers)
    }

    /// Returns the requested heads and their output formats.
    fn requested_heads(&self, wanted: &[OutputRequest]) -> Result<Vec<HeadAndFormat<'_>>, DecodeError> {
        wanted.iter().map(|wanted| self.requested_head(wanted)).collect()
    }

    /// Returns a requested head and its output format.
    fn requested_head(&self, wanted: &OutputRequest) -> Result<HeadAndFormat<'_>, DecodeError> {
        let head = self.heads.version(&wanted.head, wanted.version)?;
        match wanted.format {
            OutputFormat::Natural | OutputFormat::Png => Ok((head, OutputFormat::Png)),
            OutputFormat::Tensor => Ok((head, OutputFormat::Tensor)),
            OutputFormat::ClassScores | OutputFormat::Anomaly => {
                Err(output::format_error(&head.spec.name, OutputKind::Images, wanted.format))
            }
        }
    }

    async fn unpack_maps<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        ask: &ResolvedRequest<'_, F>,
        index: usize,
        place: Arc<MemoryPermit>,
    ) -> Result<FeatureMaps, DecodeError> {
        let (codec, frame, limits) = (Arc::clone(&self.codec), ask.frames[index].clone(), *ask.limits);
        let maps = run_with_permit(place, move || codec.maps(frame.as_ref(), &limits)).await?;
        maps.map_err(|source| frame_error(&self.manifest.name, index, source))
    }

    async fn run_heads(
        &self,
        heads: &[HeadAndFormat<'_>],
        maps: FeatureMaps,
        terms: RequestOptions,
        place: &Arc<MemoryPermit>,
    ) -> Result<Vec<Output>, DecodeError> {
        let header = maps.header;
        let questions: Vec<_> =
            heads.iter().map(|(head, _)| self.codec.question(&maps, &head.spec)).collect();
        // The inference inputs share the maps, so that the last input frees them.
        drop(maps);
        let mut outputs = Vec::with_capacity(heads.len());
        for ((head, format), question) in heads.iter().zip(questions) {
            let answer = head.run(question, terms).await?;
            let (codec, spec, format) = (Arc::clone(&self.codec), head.spec.clone(), *format);
            let value = run_with_permit(Arc::clone(place), move || {
                convert_output(&codec, &spec, format, header, answer)
            })
            .await??;
            outputs.push(Output { head: head.spec.name.clone(), version: head.spec.version, value });
        }
        Ok(outputs)
    }
}

/// Returns the largest upscaling factor of the heads.
fn largest_scale(heads: &[HeadAndFormat<'_>]) -> u32 {
    heads.iter().map(|(head, _)| head.spec.scale).max().unwrap_or(1)
}

fn convert_output(
    codec: &ImageCodec,
    head: &ImageCodecHeadSpec,
    format: OutputFormat,
    header: ImageCodecHeader,
    answer: BatchSlice,
) -> Result<OutputValue, DecodeError> {
    let raster = codec.raster(header, head, &answer);
    if format == OutputFormat::Tensor {
        return Ok(raster.to_tensor());
    }
    let image = raster.to_image(header.is_grey)?;
    drop(answer);
    Ok(OutputValue::Png(png::encode_png(&image)?))
}
