use image::DynamicImage;
use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecHeadSpec};
use lopside_latent::Limits;

use crate::{
    DecodeError, LoadError, Runtime, heads,
    model::{BatchSlice, HeadModel},
};

use super::{codec::ImageCodec, service::frame_error};

/// One head of an image codec, run on the caller's thread with the same code as the server; for measurements
/// and tools.
#[derive(Debug)]
pub struct ImageCodecDecoder {
    bundle: String,
    codec: ImageCodec,
    head: ImageCodecHeadSpec,
    model: HeadModel,
    limits: Limits,
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
        Ok(Self { bundle: name, codec, head: found.spec.clone(), model, limits: Limits::default() })
    }

    /// Returns the decoder with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Decodes a frame to an image, `scale` times as large as the original: 8-bit RGB, or 8-bit grey if the
    /// frame marks its image as grey.
    ///
    /// # Errors
    /// [`DecodeError`], as a client of the server receives it, with frame index 0.
    pub fn decode(&mut self, frame: &[u8]) -> Result<DynamicImage, DecodeError> {
        self.codec
            .check_frame(frame, self.head.scale, &self.limits)
            .map_err(|source| frame_error(&self.bundle, 0, source))?;
        let maps =
            self.codec.maps(frame, &self.limits).map_err(|source| frame_error(&self.bundle, 0, source))?;
        let header = maps.header;
        let input = self.codec.to_input(&maps, &self.head);
        drop(maps);
        let (output, _) = self.model.run(std::slice::from_ref(&input)).map_err(DecodeError::Internal)?;
        let slice = BatchSlice::all(output);
        drop(input);
        self.codec.raster(header, &self.head, &slice).to_image(header.is_grey)
    }
}
