//! The steps between a frame and a head: entropy decoding, dequantisation, names and shapes.

use std::{sync::Arc, time::Duration};

use lopside_bundle::image_codec::{ImageCodecHeadSpec, ImageCodecManifest};
use lopside_latent::{
    LatentError, Limits,
    image_codec::{ImageCodecFrame, ImageCodecHeader, ImageCodecSpace, Quality},
};
use lopside_onnx::{TiledTensor, decode_model, tile_margin};

use super::{
    canvas::{Canvas, CanvasFormat},
    feature_maps::{FeatureMaps, LayerCut, MapLayers},
    pace::MIN_MEASURED_TIME,
    raster::Raster,
    tiles::{Span, Tile, TilePlan, largest_tile_pixels},
};
use crate::{
    Runtime,
    model::{BatchSlice, HeadModel, InferenceInput, ModelIo, ModelSource, NamedTensor},
    runtime::SessionMemory,
};

/// The memory budget, as a multiple of the pixels that a frame may have, because images are padded and heads
/// upscale them.
const BUDGET_FACTOR: u64 = 2;
/// Side of the largest image that is run to measure the time per pixel of a head.
const MAX_MEASURED_SIDE: u32 = 512;
/// The quality of the warm-up run of a head.
const WARM_UP_QUALITY: u8 = 50;

/// The latent space of an image codec, with the names of its layers in the heads' graphs.
#[derive(Debug)]
pub struct ImageCodec {
    space: ImageCodecSpace,
    tensors: Vec<String>,
    low: f32,
    high: f32,
}

/// Returns the number of pixels that all images in memory may have together, padded and upscaled.
pub(crate) fn pixels_in_memory(limits: &Limits) -> u64 {
    BUDGET_FACTOR.saturating_mul(limits.max_pixels)
}

impl ImageCodec {
    /// Creates the codec of a bundle.
    pub(crate) fn new(manifest: &ImageCodecManifest, space: ImageCodecSpace) -> Self {
        let tensors = manifest.layers.iter().map(|layer| layer.tensor.clone()).collect();
        Self { space, tensors, low: manifest.input.low, high: manifest.input.high }
    }

    /// Checks a frame as far as possible without decoding it, and returns its header.
    ///
    /// # Errors
    /// The error of [`ImageCodecFrame::parse`].
    pub(super) fn check_frame(&self, frame: &[u8], limits: &Limits) -> Result<ImageCodecHeader, LatentError> {
        ImageCodecFrame::parse(frame, limits, Some(self.space.id())).map(|frame| frame.header)
    }

    /// Returns the number of pixels of a head's output for an image, padded and upscaled `scale` times in each
    /// direction.
    ///
    /// # Errors
    /// [`LatentError::Limit`] if it exceeds the memory budget of images.
    pub(super) fn output_pixels(
        &self,
        header: ImageCodecHeader,
        scale: u32,
        limits: &Limits,
    ) -> Result<u64, LatentError> {
        let pixels = self.padded_pixels(header);
        let found = pixels.saturating_mul(u64::from(scale).pow(2));
        let limit = pixels_in_memory(limits);
        if found <= limit {
            return Ok(found);
        }
        Err(LatentError::Limit { what: "number of pixels of the padded and upscaled image", found, limit })
    }

    /// Returns the number of pixels of an image after padding.
    pub(super) fn padded_pixels(&self, header: ImageCodecHeader) -> u64 {
        let alignment = self.space.layout().alignment();
        [header.height, header.width].map(|side| u64::from(side.next_multiple_of(alignment))).iter().product()
    }

    /// Returns the header of the largest image, in colour, whose coarsest layer has these rows and columns;
    /// `None` if the image is too large for a frame.
    #[must_use]
    pub fn header(&self, layer: [usize; 2], quality: Quality) -> Option<ImageCodecHeader> {
        let alignment = self.space.layout().alignment();
        let [height, width] =
            layer.map(|extent| u32::try_from(extent).ok().and_then(|extent| extent.checked_mul(alignment)));
        let header = ImageCodecHeader { width: width?, height: height?, is_grey: false, quality };
        header.check_sides().ok().map(|()| header)
    }

    /// Returns the layers of an image, coarsest first: names and shapes, `[channels, rows, columns]`.
    pub fn shapes(&self, header: ImageCodecHeader) -> impl Iterator<Item = (&str, [usize; 3])> {
        let layout = self.space.layout();
        self.tensors.iter().zip(layout.layers()).enumerate().map(move |(number, (tensor, layer))| {
            let [rows, columns] = layout.dims(number, header.width, header.height);
            (tensor.as_str(), [layer.channels as usize, rows, columns])
        })
    }

    /// Decodes the integers of a frame.
    ///
    /// # Errors
    /// The error of [`ImageCodecSpace::decode`].
    pub(super) fn decode_maps(&self, frame: &[u8], limits: &Limits) -> Result<FeatureMaps, LatentError> {
        let latent = self.space.decode(frame, limits)?;
        Ok(FeatureMaps { header: latent.header, layers: MapLayers::Integers(latent.layers) })
    }

    /// Returns feature maps of these dequantised layers, one per layer of the latent space.
    #[must_use]
    pub fn named_maps(&self, header: ImageCodecHeader, maps: Vec<Vec<f32>>) -> FeatureMaps {
        FeatureMaps { header, layers: MapLayers::Values(maps.into_iter().map(Arc::new).collect()) }
    }

    /// Returns the margin of a head's tiles, in blocks of the coarsest stride; `None` if the head must run on whole
    /// images.
    pub(super) fn tile_margin(&self, head: &ImageCodecHeadSpec, model: &[u8]) -> Option<u32> {
        let layout = self.space.layout();
        let layers = self.tensors.iter().zip(layout.layers()).map(|(tensor, layer)| TiledTensor {
            name: tensor,
            cells_per_block: layout.alignment() / layer.stride,
        });
        let layers: Vec<TiledTensor<'_>> = layers.collect();
        let output =
            TiledTensor { name: &head.output, cells_per_block: layout.alignment().checked_mul(head.scale)? };
        tile_margin(&decode_model(model).ok()?, &layers, output)
    }

    /// Returns the tiles in which a head computes an image. `tile_pixels` is the largest tile of its output, by default
    /// the one for the size of the image.
    pub(super) fn plan_tiles(
        &self,
        header: ImageCodecHeader,
        head: &ImageCodecHeadSpec,
        margin: Option<u32>,
        tile_pixels: Option<u64>,
    ) -> TilePlan {
        let alignment = self.space.layout().alignment();
        let blocks = [header.height, header.width].map(|side| side.div_ceil(alignment));
        let block_pixels = self.block_pixels() * u64::from(head.scale).pow(2);
        let pixels = u64::from(blocks[0]) * u64::from(blocks[1]) * block_pixels;
        let largest = tile_pixels.unwrap_or_else(|| largest_tile_pixels(pixels));
        TilePlan::new(blocks, margin, largest / block_pixels)
    }

    /// Returns the number of pixels of a block of the encoded image.
    pub(super) fn block_pixels(&self) -> u64 {
        u64::from(self.space.layout().alignment()).pow(2)
    }

    /// Returns the inference input of a head for a tile of these feature maps.
    ///
    /// # Errors
    /// [`LatentError::CountMismatch`] if a layer does not fit the image.
    pub(super) fn tile_input(
        &self,
        maps: &FeatureMaps,
        tile: &Tile,
        head: &ImageCodecHeadSpec,
    ) -> Result<InferenceInput, LatentError> {
        let mut tensors = self.cut_layers(maps, tile)?;
        tensors.push(NamedTensor {
            name: head.quality.clone(),
            shape: vec![1, 1],
            values: Arc::new(vec![f32::from(maps.header.quality.get())]),
        });
        let [height, width] = [&tile.rows, &tile.columns].map(|span| self.cells(span, head.scale).len());
        Ok(InferenceInput::new(tensors, vec![3 * height * width]))
    }

    fn cut_layers(&self, maps: &FeatureMaps, tile: &Tile) -> Result<Vec<NamedTensor>, LatentError> {
        let alignment = self.space.layout().alignment();
        let layers = self.shapes(maps.header).zip(self.space.layout().layers()).enumerate();
        let tensors = layers.map(|(number, ((name, shape), layer))| {
            let cells = |span: &Span| {
                let per_block = (alignment / layer.stride) as usize;
                span.extent.start as usize * per_block..span.extent.end as usize * per_block
            };
            let cut = LayerCut { shape, rows: cells(&tile.rows), columns: cells(&tile.columns) };
            let values = maps.cut_layer(self.space.quantiser(), number, &cut)?;
            Ok(NamedTensor { name: name.to_owned(), shape: cut.tensor_shape(), values })
        });
        tensors.collect()
    }

    /// Returns an empty image for a head's output.
    pub(super) fn new_canvas(
        &self,
        header: ImageCodecHeader,
        head: &ImageCodecHeadSpec,
        format: CanvasFormat,
    ) -> Canvas {
        let size = [header.height, header.width].map(|side| side as usize * head.scale as usize);
        Canvas::new(size, [self.low, self.high], format)
    }

    /// Returns the core of a tile in a head's output, cropped to the image, and its place in the image.
    pub(super) fn tile_raster<'a>(
        &self,
        header: ImageCodecHeader,
        head: &ImageCodecHeadSpec,
        tile: &Tile,
        slice: &'a BatchSlice,
    ) -> ([usize; 2], Raster<'a>) {
        let cropped = |span: &Span, side: u32| {
            let block = self.space.layout().alignment() as usize * head.scale as usize;
            let start = span.core.start as usize * block;
            let end = (span.core.end as usize * block).min(side as usize * head.scale as usize);
            (start, start - span.extent.start as usize * block, end.saturating_sub(start))
        };
        let (top, origin_row, height) = cropped(&tile.rows, header.height);
        let (left, origin_column, width) = cropped(&tile.columns, header.width);
        let raster = Raster {
            values: slice.first_output(),
            pitch: self.cells(&tile.columns, head.scale).len(),
            origin: [origin_row, origin_column],
            size: [height, width],
        };
        ([top, left], raster)
    }

    /// Loads a head's model; the smallest image verifies its shapes. On a GPU, batches of up to `max_items` images
    /// are tried.
    ///
    /// # Errors
    /// The reason why the model does not match its manifest.
    pub(crate) fn load(
        &self,
        runtime: &Runtime,
        head: &ImageCodecHeadSpec,
        model: &[u8],
        max_items: usize,
    ) -> Result<HeadModel, String> {
        let io = ModelIo {
            inputs: self.tensors.iter().chain([&head.quality]).cloned().collect(),
            outputs: vec![head.output.clone()],
            latent_space: self.space.id().to_string(),
        };
        // One image occupies a whole CPU; a small image does not occupy a whole GPU.
        let max_items = if runtime.has_cuda() { max_items } else { 1 };
        let source = ModelSource { bytes: model, io: &io, memory: SessionMemory::Returned };
        HeadModel::load(runtime, source, (&self.blank_input(head, 1)?, max_items))
    }

    /// Returns the number of pixels and the time of a run that is long enough to be measured, if the head is not so fast
    /// that its time does not matter. The sides of the image double until then.
    ///
    /// # Errors
    /// See [`HeadModel::run`].
    pub(super) fn measure_pace(
        &self,
        head: &ImageCodecHeadSpec,
        model: &mut HeadModel,
    ) -> Result<(u64, Duration), String> {
        let mut side = self.space.layout().alignment();
        loop {
            let time = model.time_run(&self.blank_input(head, side)?)?;
            if time >= MIN_MEASURED_TIME || side >= MAX_MEASURED_SIDE {
                return Ok((u64::from(side).pow(2), time));
            }
            side *= 2;
        }
    }

    /// Returns the inference input for a square image whose layers are zeros.
    fn blank_input(&self, head: &ImageCodecHeadSpec, side: u32) -> Result<InferenceInput, String> {
        let quality = Quality::new(WARM_UP_QUALITY).ok_or("the quality of the warm-up image is invalid")?;
        let header = ImageCodecHeader { width: side, height: side, is_grey: false, quality };
        let maps = FeatureMaps { header, layers: MapLayers::Integers(Vec::new()) };
        let plan = self.plan_tiles(header, head, None, None);
        let tile = plan.tiles().next().ok_or("the warm-up image is empty")?;
        self.tile_input(&maps, &tile, head).map_err(|error| error.to_string())
    }

    /// Returns the pixels of a tile in a head's output.
    fn cells(&self, span: &Span, scale: u32) -> std::ops::Range<usize> {
        let block = self.space.layout().alignment() as usize * scale as usize;
        span.extent.start as usize * block..span.extent.end as usize * block
    }
}
