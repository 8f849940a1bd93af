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
    pub(crate) fn start(bundle: ImageCodecBundle, loader: &HeadLoader) -> Result<Self, LoadError> {
        let ImageCodecBundle { manifest, space, heads, .. } = bundle;
        let codec = ImageCodec::new(&manifest, space);
        let heads = heads.into_iter().map(|ImageCodecHead { spec, model }| {
            ServedHead::start(loader, &manifest.name, spec, |spec, max_items| {
                codec.load(&loader.runtime, spec, &model, max_items)
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
        request: &ResolvedRequest<'_, F>,
        budget: &MemoryBudget,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let heads = self.requested_heads(request.outputs)?;
        let scale = largest_scale(&heads);
        let mut pixels = Vec::with_capacity(request.frames.len());
        for (index, frame) in request.frames.iter().enumerate() {
            let checked = self.codec.check_frame(frame.as_ref(), scale, request.limits);
            pixels.push(checked.map_err(|source| frame_error(&self.manifest.name, index, source))?);
        }
        let mut outputs = Vec::with_capacity(pixels.len());
        for (index, pixels) in pixels.into_iter().enumerate() {
            let permit = Arc::new(budget.acquire(pixels, &heads[0].0.spec.name, request.options).await?);
            let maps = self.decode_maps(request, index, Arc::clone(&permit)).await?;
            outputs.push(self.run_heads(&heads, maps, request.options, &permit).await?);
        }
        Ok(outputs)
    }

    /// Runs the requested heads on feature maps.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub async fn run_maps(
        &self,
        items: Vec<FeatureMaps>,
        requested: &[OutputRequest],
        (limits, options): (&Limits, RequestOptions),
        budget: &MemoryBudget,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let heads = self.requested_heads(requested)?;
        let scale = largest_scale(&heads);
        let mut outputs = Vec::with_capacity(items.len());
        for maps in items {
            let pixels = self.codec.output_pixels(maps.header, scale, limits);
            let pixels = pixels.map_err(|error| DecodeError::InvalidRequest(error.to_string()))?;
            let permit = Arc::new(budget.acquire(pixels, &heads[0].0.spec.name, options).await?);
            outputs.push(self.run_heads(&heads, maps, options, &permit).await?);
        }
        Ok(outputs)
    }

    /// Returns the requested heads and their output formats.
    fn requested_heads(&self, outputs: &[OutputRequest]) -> Result<Vec<HeadAndFormat<'_>>, DecodeError> {
        outputs.iter().map(|output| self.requested_head(output)).collect()
    }

    /// Returns a requested head and its output format.
    fn requested_head(&self, output: &OutputRequest) -> Result<HeadAndFormat<'_>, DecodeError> {
        let head = self.heads.version(&output.head, output.version)?;
        match output.format {
            OutputFormat::Natural | OutputFormat::Png => Ok((head, OutputFormat::Png)),
            OutputFormat::Tensor => Ok((head, OutputFormat::Tensor)),
            OutputFormat::ClassScores | OutputFormat::Anomaly => {
                Err(output::format_error(&head.spec.name, OutputKind::Images, output.format))
            }
        }
    }

    /// Decodes a frame to feature maps on a blocking thread.
    async fn decode_maps<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        request: &ResolvedRequest<'_, F>,
        index: usize,
        permit: Arc<MemoryPermit>,
    ) -> Result<FeatureMaps, DecodeError> {
        let (codec, frame, limits) =
            (Arc::clone(&self.codec), request.frames[index].clone(), *request.limits);
        let maps = run_with_permit(permit, move || codec.maps(frame.as_ref(), &limits)).await?;
        maps.map_err(|source| frame_error(&self.manifest.name, index, source))
    }

    async fn run_heads(
        &self,
        heads: &[HeadAndFormat<'_>],
        maps: FeatureMaps,
        options: RequestOptions,
        permit: &Arc<MemoryPermit>,
    ) -> Result<Vec<Output>, DecodeError> {
        let header = maps.header;
        let inputs: Vec<_> = heads.iter().map(|(head, _)| self.codec.to_input(&maps, &head.spec)).collect();
        // The inference inputs share the maps, so that the last input frees them.
        drop(maps);
        let mut outputs = Vec::with_capacity(heads.len());
        for ((head, format), input) in heads.iter().zip(inputs) {
            let slice = head.run(input, options).await?;
            let (codec, spec, format) = (Arc::clone(&self.codec), head.spec.clone(), *format);
            let value = run_with_permit(Arc::clone(permit), move || {
                convert_output(&codec, &spec, format, header, slice)
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
    slice: BatchSlice,
) -> Result<OutputValue, DecodeError> {
    let raster = codec.raster(header, head, &slice);
    if format == OutputFormat::Tensor {
        return Ok(raster.to_tensor());
    }
    let image = raster.to_image(header.is_grey)?;
    drop(slice);
    Ok(OutputValue::Png(png::encode_png(&image)?))
}
