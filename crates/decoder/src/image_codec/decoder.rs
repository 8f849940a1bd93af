use image::DynamicImage;
use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecHeadSpec};
use lopside_latent::{Limits, image_codec::ImageCodecHeader};

use crate::{
    DecodeError, LoadError, Runtime, heads,
    model::{BatchSlice, HeadModel},
};

use super::{
    canvas::{Canvas, CanvasFormat},
    codec::ImageCodec,
    service::frame_error,
};

/// One head of an image codec, run on the caller's thread with the same code as the server; for measurements
/// and tools.
#[derive(Debug)]
pub struct ImageCodecDecoder {
    bundle: String,
    codec: ImageCodec,
    head: ImageCodecHeadSpec,
    model: HeadModel,
    /// The margin of the head's tiles; `None` if it must run on whole images.
    tile_margin: Option<u32>,
    limits: Limits,
    /// Maximum number of pixels of a tile; `None` for the server's.
    tile_pixels: Option<u64>,
}

impl ImageCodecDecoder {
    /// Loads the newest version of a head; an empty name selects the bundle's first head. Frames are accepted
    /// within the default [`Limits`].
    ///
    /// # Errors
    /// [`LoadError::Head`] if the head does not exist or its model is refused.
    pub fn new(runtime: &Runtime, bundle: &ImageCodecBundle, head: &str) -> Result<Self, LoadError> {
        let name = bundle.manifest.name.clone();
        let found = heads::find_version(&name, &bundle.heads, head, None)
            .map_err(|error| heads::head_error(&name, head, error.to_string()))?;
        let codec = ImageCodec::new(&bundle.manifest, bundle.space.clone());
        let model = codec
            .load(runtime, &found.spec, &found.model, 1)
            .map_err(|reason| heads::head_error(&name, head, reason))?;
        Ok(Self {
            bundle: name,
            tile_margin: codec.tile_margin(&found.spec, &found.model),
            codec,
            head: found.spec.clone(),
            model,
            limits: Limits::default(),
            tile_pixels: None,
        })
    }

    /// Returns the decoder with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Returns the decoder with another maximum number of pixels of a tile. By default, images of up to 4 megapixels are
    /// computed as a whole, and larger ones in tiles of at most a quarter of their pixels.
    #[must_use]
    pub fn with_tile_pixels(self, pixels: u64) -> Self {
        Self { tile_pixels: Some(pixels), ..self }
    }

    /// Decodes a frame to an image, `scale` times as large as the original: 8-bit RGB, or 8-bit grey if the
    /// frame marks its image as grey.
    ///
    /// # Errors
    /// [`DecodeError`], as a client of the server receives it, with frame index 0.
    pub fn decode(&mut self, frame: &[u8]) -> Result<DynamicImage, DecodeError> {
        self.compute(frame, |header| CanvasFormat::of_image(header.is_grey))?.into_image()
    }

    /// Decodes a frame to samples of the format that `format` returns for its header.
    fn compute(
        &mut self,
        frame: &[u8],
        format: impl FnOnce(ImageCodecHeader) -> CanvasFormat,
    ) -> Result<Canvas, DecodeError> {
        let Self { bundle, codec, head, model, tile_margin, limits, tile_pixels } = self;
        let refused = |source| frame_error(bundle, 0, source);
        let header = codec.check_frame(frame, limits).map_err(refused)?;
        codec.output_pixels(header, head.scale, limits).map_err(refused)?;
        let maps = codec.decode_maps(frame, limits).map_err(refused)?;
        let mut canvas = codec.new_canvas(header, head, format(header));
        for tile in codec.plan_tiles(header, head, *tile_margin, *tile_pixels).tiles() {
            let input = codec.tile_input(&maps, &tile, head).map_err(refused)?;
            let (output, _) = model.run(std::slice::from_ref(&input)).map_err(DecodeError::Internal)?;
            let slice = BatchSlice::all(output);
            let (place, raster) = codec.tile_raster(header, head, &tile, &slice);
            canvas.paste(place, raster)?;
        }
        Ok(canvas)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, path::Path};

    use lopside_bundle::{BundlePart, image_codec::AnyBundle};
    use lopside_latent::{IdOnWire, image_codec::Quality};

    use super::*;
    use crate::{Device, OutputValue};

    /// Fine steps, so that few samples are clipped.
    const QUALITY: u8 = 90;

    fn shipped_bundle() -> ImageCodecBundle {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundles/photo");
        let AnyBundle::ImageCodec(bundle) = AnyBundle::load(&folder, BundlePart::Heads).unwrap() else {
            panic!("the bundle is of another kind")
        };
        bundle
    }

    fn load(bundle: &ImageCodecBundle, head: &str) -> ImageCodecDecoder {
        let library =
            env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
        let runtime = Runtime::load(library.as_ref(), Device::Cpu, 1).unwrap();
        ImageCodecDecoder::new(&runtime, bundle, head).unwrap()
    }

    /// Returns a frame of random coefficients.
    fn noise(bundle: &ImageCodecBundle, [width, height]: [u32; 2]) -> (ImageCodecHeader, Vec<u8>) {
        let header =
            ImageCodecHeader { width, height, is_grey: false, quality: Quality::new(QUALITY).unwrap() };
        let layout = bundle.space.layout();
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as i16 % 7 - 3
        };
        let layers = 0..layout.layers().len();
        let layers: Vec<Vec<i16>> = layers
            .map(|layer| (0..layout.elements(layer, width, height)).map(|_| next()).collect())
            .collect();
        (header, bundle.space.encode_integers(header, &layers, IdOnWire::Present).unwrap())
    }

    fn values(decoder: &mut ImageCodecDecoder, frame: &[u8]) -> Vec<f32> {
        let canvas = decoder.compute(frame, |_| CanvasFormat::Values).unwrap();
        let OutputValue::Tensor { values, .. } = canvas.into_output().unwrap() else { panic!("no tensor") };
        values
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// The shipped heads mirror the coefficients at the border, pad with zeros and with the border's pixels, and have a
    /// residual network. Sums are added up in another order for a tile than for the image, so values may differ in their
    /// last bits; one level of an 8-bit sample is 0.004.
    #[test]
    fn an_image_in_tiles_is_the_same_as_the_whole_image() {
        let bundle = shipped_bundle();
        for (head, size) in [("reconstruct", [2237, 93]), ("upscale", [93, 2237])] {
            let (header, frame) = noise(&bundle, size);
            let mut whole = load(&bundle, head).with_tile_pixels(u64::MAX);
            let mut tiled = load(&bundle, head);
            // Three tiles in a row, so that one has margins on both sides.
            let pixels = 110 * 32 * 32 * u64::from(tiled.head.scale).pow(2);
            tiled = tiled.with_tile_pixels(pixels);
            let plan = tiled.codec.plan_tiles(header, &tiled.head, tiled.tile_margin, tiled.tile_pixels);
            assert_eq!(plan.tiles().count(), 3, "{head}: {plan:?}");
            let expected = values(&mut whole, &frame);
            let difference = largest_difference(&expected, &values(&mut tiled, &frame));
            assert!(difference < 1e-4, "{head}: {difference}");
            // Without its margin, the same tiles make another image.
            tiled.tile_margin = Some(0);
            let difference = largest_difference(&expected, &values(&mut tiled, &frame));
            assert!(difference > 0.01, "{head}: {difference}");
        }
    }
}
