use std::{borrow::Cow, path::PathBuf};

use image::DynamicImage;
use lopside_bundle::{FixedLatentHeadSpec, HeadKind, InputSpec, image_codec::AnyBundle};
use lopside_input::{InputLimits, to_model_image};
use lopside_latent::{IdOnWire, LatentSpaceId, Limits, image_codec::Quality};

use crate::{
    EncodeError, EncodedFrame, FixedLatentEncoder, ImageCodecEncoder, ImageCodecOptions, InputError,
    source::{self, EncoderInput, NamedInputs},
    to_eight_bit,
};

/// The encoder of a bundle of either model kind.
#[derive(Debug)]
pub enum AnyEncoder {
    /// A fixed-latent model, which takes images of one size, windows or tensors; with the maximum number of
    /// layers per frame, `None` for all.
    FixedLatent(Box<FixedLatentEncoder>, Option<usize>),
    /// An image codec, with its options.
    ImageCodec(Box<ImageCodecEncoder>, ImageCodecOptions),
}

/// Encode options for bundles of either model kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Options of image codecs; fixed-latent models use only the number of layers.
    pub image_codec: ImageCodecOptions,
    /// For image codecs: whether to use the fast encoder.
    pub use_fast: bool,
}

impl AnyEncoder {
    /// Loads the encoder of a bundle.
    ///
    /// # Errors
    /// As [`FixedLatentEncoder::new`], [`ImageCodecEncoder::new`] and [`ImageCodecEncoder::new_fast`].
    pub fn new(bundle: &AnyBundle, options: &EncodeOptions) -> Result<Self, EncodeError> {
        let EncodeOptions { image_codec: codec_options, use_fast } = *options;
        match bundle {
            AnyBundle::FixedLatent(bundle) => {
                Ok(Self::FixedLatent(Box::new(FixedLatentEncoder::new(bundle)?), codec_options.layers))
            }
            AnyBundle::ImageCodec(bundle) => {
                let load = if use_fast { ImageCodecEncoder::new_fast } else { ImageCodecEncoder::new };
                Ok(Self::ImageCodec(Box::new(load(bundle)?), codec_options))
            }
        }
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::FixedLatent(encoder, _) => encoder.name(),
            Self::ImageCodec(encoder, _) => encoder.name(),
        }
    }

    /// Returns the latent space of the encoder's frames.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::FixedLatent(encoder, _) => encoder.space().id(),
            Self::ImageCodec(encoder, _) => encoder.space().id(),
        }
    }

    /// Returns the input specification; `None` for an image codec, which takes images of any size.
    #[must_use]
    pub fn input_spec(&self) -> Option<&InputSpec> {
        match self {
            Self::FixedLatent(encoder, _) => Some(encoder.input_spec()),
            Self::ImageCodec(..) => None,
        }
    }

    /// Returns the number of layers of the model.
    #[must_use]
    pub fn layer_count(&self) -> usize {
        match self {
            Self::FixedLatent(encoder, _) => encoder.space().layers().len(),
            Self::ImageCodec(encoder, _) => encoder.space().layout().layers().len(),
        }
    }

    /// Sets the maximum number of layers of further frames and, for an image codec, their quality, clamped to
    /// 1 to 100. Returns the new quality, or `None` for encoders without that setting.
    pub fn set_rate(&mut self, quality: u8, layers: usize) -> Option<u8> {
        match self {
            Self::FixedLatent(_, limit) => {
                *limit = Some(layers);
                None
            }
            Self::ImageCodec(_, options) => {
                options.layers = Some(layers);
                options.quality = Quality::new(quality.clamp(1, 100)).unwrap_or(options.quality);
                Some(options.quality.get())
            }
        }
    }

    /// Opens the inputs of these files and folders, of the kind that the encoder takes, within the default
    /// limits.
    ///
    /// # Errors
    /// As [`source::open_images`] and [`source::numbers`].
    pub fn open_inputs(&self, inputs: &[PathBuf]) -> Result<NamedInputs, InputError> {
        self.open_inputs_within(inputs, InputLimits::default())
    }

    /// Opens the inputs of these files and folders, of the kind that the encoder takes, each file within these
    /// limits.
    ///
    /// # Errors
    /// As [`source::open_images`] and [`source::numbers`].
    pub fn open_inputs_within(
        &self,
        inputs: &[PathBuf],
        limits: InputLimits,
    ) -> Result<NamedInputs, InputError> {
        match self {
            Self::FixedLatent(encoder, _) => match encoder.input_spec() {
                InputSpec::Picture(_) => source::open_inputs_within(inputs, limits),
                InputSpec::Series(spec) => source::numbers::open_windows_within(inputs, spec, limits),
                InputSpec::Tensor {} => {
                    source::numbers::open_tensors_within(inputs, encoder.input_dims(), limits)
                }
            },
            Self::ImageCodec(..) => source::open_inputs_within(inputs, limits),
        }
    }

    /// Checks that no two inputs of these files and folders would write the same output file.
    ///
    /// # Errors
    /// [`InputError::SameOutput`], or [`InputError::Io`] for a path that cannot be listed.
    pub fn check_output_names(&self, inputs: &[PathBuf]) -> Result<(), InputError> {
        source::check_output_names(&self.list(inputs)?)
    }

    /// Returns the input files that [`open_inputs`](Self::open_inputs) reads from these files and folders, in its
    /// order.
    ///
    /// # Errors
    /// [`InputError::Io`] for a path that cannot be listed.
    pub fn list(&self, inputs: &[PathBuf]) -> Result<Vec<PathBuf>, InputError> {
        source::list(inputs, matches!(self.input_spec(), Some(InputSpec::Series(_) | InputSpec::Tensor {})))
    }

    /// Returns the heads that the manifest lists; none for an image codec, whose frames decode to images.
    #[must_use]
    pub fn heads(&self) -> &[FixedLatentHeadSpec] {
        match self {
            Self::FixedLatent(encoder, _) => encoder.heads(),
            Self::ImageCodec(..) => &[],
        }
    }

    /// Returns the 8-bit image, grey or RGB, that a reconstruction is compared with: in the size of the first
    /// head that produces images, otherwise in the input size of the encoder.
    #[must_use]
    pub fn comparable_original<'a>(&self, image: &'a DynamicImage) -> Cow<'a, DynamicImage> {
        let Self::FixedLatent(encoder, _) = self else { return to_eight_bit(image) };
        let reconstruction = encoder.heads().iter().find_map(|head| match &head.kind {
            HeadKind::Reconstruct(spec) => Some(spec),
            _ => None,
        });
        match (reconstruction, encoder.input_spec()) {
            (Some(spec), _) | (None, InputSpec::Picture(spec)) => Cow::Owned(to_model_image(image, spec)),
            _ => to_eight_bit(image),
        }
    }

    /// Encodes an input; `id` overrides the options.
    ///
    /// # Errors
    /// As [`FixedLatentEncoder::encode_input`] and [`ImageCodecEncoder::encode`].
    pub fn encode(&self, input: &EncoderInput, id: IdOnWire) -> Result<EncodedFrame, EncodeError> {
        match (self, input) {
            (Self::FixedLatent(encoder, layers), _) => encoder.encode_input(input, *layers, id),
            (Self::ImageCodec(encoder, options), EncoderInput::Image(image)) => {
                encoder.encode(image, &ImageCodecOptions { id, ..*options })
            }
            (Self::ImageCodec(encoder, _), EncoderInput::Values(_)) => {
                Err(EncodeError::WrongInputKind { bundle: encoder.name().to_owned(), takes: "images" })
            }
        }
    }

    /// Encodes an input with the quality and the layers of `frame`; the new frame carries the latent-space
    /// id.
    ///
    /// # Errors
    /// [`EncodeError::Latent`] if `frame` is damaged or of another latent space, and as [`AnyEncoder::encode`].
    pub fn encode_like(&self, input: &EncoderInput, frame: &[u8]) -> Result<EncodedFrame, EncodeError> {
        let limits = Limits::default();
        match (self, input) {
            (Self::FixedLatent(encoder, _), _) => {
                let values = encoder.space().decode(frame, &limits)?.len();
                encoder.encode_input(input, encoder.space().layer_count_of(values), IdOnWire::Present)
            }
            (Self::ImageCodec(encoder, options), EncoderInput::Image(image)) => {
                let latent = encoder.space().decode(frame, &limits)?;
                let (quality, layers) = (latent.header.quality, Some(latent.layers.len()));
                let options = ImageCodecOptions { quality, layers, id: IdOnWire::Present, ..*options };
                encoder.encode(image, &options)
            }
            (Self::ImageCodec(..), EncoderInput::Values(_)) => self.encode(input, IdOnWire::Present),
        }
    }

    /// Returns the integers of a frame, layer by layer.
    ///
    /// # Errors
    /// [`EncodeError::Latent`] if it is damaged or of another latent space.
    pub fn decode_integers(&self, frame: &[u8]) -> Result<Vec<i32>, EncodeError> {
        let limits = Limits::default();
        Ok(match self {
            Self::FixedLatent(encoder, _) => encoder.space().decode(frame, &limits)?,
            Self::ImageCodec(encoder, _) => {
                let layers = encoder.space().decode(frame, &limits)?.layers;
                layers.into_iter().flatten().map(i32::from).collect()
            }
        })
    }
}
