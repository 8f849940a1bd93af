//! Serves the bundle of an image codec: each tile of an image is a job, and all work except the head's is done on
//! blocking threads.

use std::sync::Arc;

use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecHead, ImageCodecManifest};
use lopside_latent::{LatentError, Limits, image_codec::ImageCodecHeader};

use super::{
    admission::{AdmittedImages, admit_images},
    canvas::CanvasFormat,
    codec::ImageCodec,
    feature_maps::FeatureMaps,
    head::{ImageHead, ServedImageHead},
    head_run::HeadRun,
};
use crate::{
    DecodeError, LoadError, Output, OutputFormat, OutputRequest, RequestOptions,
    heads::{HeadLoader, Heads, ServedHead},
    memory_budget::{MemoryBudget, MemoryPermit, run_with_permit},
    output::{self, OutputKind},
    request::ResolvedRequest,
};

/// The frame version of image codecs.
const FRAME_VERSION: u8 = 2;

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
    pub heads: Heads<ImageHead>,
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
        let heads = heads.into_iter().map(|head| start_head(&codec, &manifest.name, head, loader));
        let heads = Heads::new(&manifest.name, heads.collect::<Result<_, _>>()?);
        Ok(Self { manifest: Arc::new(manifest), codec: Arc::new(codec), heads })
    }

    /// Returns this bundle with the heads of all of these bundles, which have the same latent space.
    pub(crate) fn with_heads_of<'a>(&self, all: impl Iterator<Item = &'a Self>) -> Self {
        let heads = self.heads.union(all.map(|service| &service.heads));
        Self { manifest: Arc::clone(&self.manifest), codec: Arc::clone(&self.codec), heads }
    }

    /// Decodes every frame with the requested heads. All frames are checked, and the whole request is admitted, before
    /// the first frame is decoded.
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
        let headers = self.check_frames(request.frames, request.limits)?;
        let pixels = headers.iter().map(|header| self.codec.output_pixels(*header, scale, request.limits));
        let pixels = pixels.enumerate();
        let pixels = pixels.map(|(index, pixels)| pixels.map_err(|source| self.frame_error(index, source)));
        let pixels = pixels.collect::<Result<Vec<u64>, _>>()?;
        let mut admitted = self.admit(&heads, &headers, request.options)?;
        let mut outputs = Vec::with_capacity(pixels.len());
        for (index, pixels) in pixels.into_iter().enumerate() {
            let permit =
                Arc::new(budget.acquire(pixels, &heads[0].0.spec.entry.name, request.options).await?);
            let maps = self.decode_maps(request, index, Arc::clone(&permit)).await?;
            outputs.push(self.run_heads(&heads, maps, request.options, (&permit, &mut admitted)).await?);
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
        let headers: Vec<ImageCodecHeader> = items.iter().map(|maps| maps.header).collect();
        let pixels = headers.iter().map(|header| self.codec.output_pixels(*header, scale, limits));
        let pixels = pixels.collect::<Result<Vec<u64>, _>>();
        let pixels = pixels.map_err(|error| {
            DecodeError::InvalidRequest(format!("{error}: start the server with a larger --max-megapixels"))
        })?;
        let mut admitted = self.admit(&heads, &headers, options)?;
        let mut outputs = Vec::with_capacity(items.len());
        for (maps, pixels) in items.into_iter().zip(pixels) {
            let permit = Arc::new(budget.acquire(pixels, &heads[0].0.spec.entry.name, options).await?);
            outputs.push(self.run_heads(&heads, maps, options, (&permit, &mut admitted)).await?);
        }
        Ok(outputs)
    }

    /// Returns the multiply-accumulates of these outputs for frames, as their headers declare the work.
    ///
    /// # Errors
    /// [`DecodeError`]; for an invalid frame, with its index.
    pub(crate) fn declared_macs<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        outputs: &[OutputRequest],
        limits: &Limits,
    ) -> Result<u64, DecodeError> {
        self.macs_of_images(&self.check_frames(frames, limits)?, outputs)
    }

    /// Returns the multiply-accumulates of these outputs for images with these headers: the pixels of the padded
    /// images, times the cost of each head per pixel.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`], or [`DecodeError::InvalidRequest`] for a format that a head does not support.
    pub fn macs_of_images(
        &self,
        headers: &[ImageCodecHeader],
        outputs: &[OutputRequest],
    ) -> Result<u64, DecodeError> {
        let pixels = headers.iter().map(|header| self.codec.padded_pixels(*header));
        let pixels = pixels.fold(0, u64::saturating_add);
        let heads = self.requested_heads(outputs)?;
        let macs_per_pixel: f64 = heads.iter().map(|(head, _)| head.spec.entry.cost.macs_per_pixel).sum();
        // The cast saturates, and a cost that is not a number counts as 0.
        Ok((pixels as f64 * macs_per_pixel).ceil() as u64)
    }

    /// Returns the headers of frames that are valid as far as that can be checked without decoding them.
    fn check_frames<F: AsRef<[u8]>>(
        &self,
        frames: &[F],
        limits: &Limits,
    ) -> Result<Vec<ImageCodecHeader>, DecodeError> {
        let headers = frames.iter().map(|frame| self.codec.check_frame(frame.as_ref(), limits)).enumerate();
        headers.map(|(index, header)| header.map_err(|source| self.frame_error(index, source))).collect()
    }

    /// Admits images to the requested heads.
    fn admit(
        &self,
        heads: &[HeadAndFormat<'_>],
        headers: &[ImageCodecHeader],
        options: RequestOptions,
    ) -> Result<AdmittedImages, DecodeError> {
        let work = heads.iter().map(|&(head, _)| {
            let pixels = headers.iter().map(|&header| self.computed_pixels(head, header));
            (head, pixels.fold(0, u64::saturating_add))
        });
        admit_images(work, headers.len(), options)
    }

    /// Returns the number of pixels of the encoded image that a head computes, with the margins of its tiles.
    fn computed_pixels(&self, head: &ServedImageHead, header: ImageCodecHeader) -> u64 {
        let ImageHead { entry, tile_margin, .. } = &head.spec;
        let plan = self.codec.plan_tiles(header, entry, *tile_margin, None);
        plan.computed_blocks() * self.codec.block_pixels()
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
                Err(output::format_error(&head.spec.entry.name, OutputKind::Images, output.format))
            }
        }
    }

    /// Decodes the integers of a frame on a blocking thread.
    async fn decode_maps<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        request: &ResolvedRequest<'_, F>,
        index: usize,
        permit: Arc<MemoryPermit>,
    ) -> Result<FeatureMaps, DecodeError> {
        let (codec, frame, limits) =
            (Arc::clone(&self.codec), request.frames[index].clone(), *request.limits);
        let maps = run_with_permit(permit, move || codec.decode_maps(frame.as_ref(), &limits)).await?;
        maps.map_err(|source| self.frame_error(index, source))
    }

    async fn run_heads(
        &self,
        heads: &[HeadAndFormat<'_>],
        maps: FeatureMaps,
        options: RequestOptions,
        (permit, admitted): (&Arc<MemoryPermit>, &mut AdmittedImages),
    ) -> Result<Vec<Output>, DecodeError> {
        let maps = Arc::new(maps);
        let mut outputs = Vec::with_capacity(heads.len());
        for (&(head, format), reservation) in heads.iter().zip(&mut admitted.reservations) {
            let run = HeadRun { codec: &self.codec, head, maps: &maps, options, permit };
            let format = match format {
                OutputFormat::Tensor => CanvasFormat::of_tensor(maps.header.is_grey),
                _ => CanvasFormat::of_image(maps.header.is_grey),
            };
            let value = run.compute(format, reservation).await?;
            let entry = &head.spec.entry;
            outputs.push(Output { head: entry.name.clone(), version: entry.version, value });
        }
        Ok(outputs)
    }

    fn frame_error(&self, index: usize, source: LatentError) -> DecodeError {
        frame_error(&self.manifest.name, index, source)
    }
}

/// Starts the engine of a head, and measures its time per pixel.
fn start_head(
    codec: &ImageCodec,
    bundle: &str,
    ImageCodecHead { spec, model }: ImageCodecHead,
    loader: &HeadLoader,
) -> Result<Arc<ServedImageHead>, LoadError> {
    let margin = codec.tile_margin(&spec, &model);
    if margin.is_none() {
        tracing::info!(bundle, head = %spec.name, "large images are computed as a whole: the model allows no tiles");
    }
    let head = ImageHead::new(spec, margin, loader.batching.instances);
    ServedHead::start(loader, bundle, head, |head, max_items| {
        let mut loaded = codec.load(&loader.runtime, &head.entry, &model, max_items)?;
        if !head.pace.is_measured() {
            let (pixels, time) = codec.measure_pace(&head.entry, &mut loaded)?;
            head.pace.record(pixels, time);
        }
        Ok(loaded)
    })
}

/// Returns the largest upscaling factor of the heads.
fn largest_scale(heads: &[HeadAndFormat<'_>]) -> u32 {
    heads.iter().map(|(head, _)| head.spec.entry.scale).max().unwrap_or(1)
}
