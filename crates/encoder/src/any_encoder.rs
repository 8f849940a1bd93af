use std::{borrow::Cow, path::PathBuf};

use image::DynamicImage;
use lopside_bundle::{FixedLatentHeadSpec, HeadKind, InputSpec, TableSpec, image_codec::AnyBundle};
use lopside_input::{ImagePolicy, to_model_image};
use lopside_latent::{IdOnWire, LatentSpaceId, Limits, image_codec::Quality};

use crate::{
    EncodeError, EncodedFrame, FixedLatentEncoder, ImageCodecEncoder, ImageCodecOptions, InputError,
    reduction::drastic_reduction,
    source::{self, EncoderInput, InputListing, NamedFile, NamedInputs, numbers::TableReport},
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

    /// Opens the inputs of these files and folders, of the kind that the encoder takes, by the default policy.
    ///
    /// # Errors
    /// As [`source::open_images`] and [`source::numbers`].
    pub fn open_inputs(&self, inputs: &[PathBuf]) -> Result<NamedInputs, InputError> {
        self.open_inputs_with(inputs, &ImagePolicy::default())
    }

    /// Opens the inputs of these files and folders, of the kind that the encoder takes. The policy applies to images,
    /// and its limits to each file.
    ///
    /// # Errors
    /// As [`source::open_images`] and [`source::numbers`].
    pub fn open_inputs_with(
        &self,
        inputs: &[PathBuf],
        policy: &ImagePolicy,
    ) -> Result<NamedInputs, InputError> {
        match self.input_spec() {
            Some(InputSpec::Series(spec)) => {
                source::numbers::open_tables(inputs, spec, &self.table(), policy.limits)
            }
            Some(InputSpec::Tensor {}) => {
                source::numbers::open_tensors_within(inputs, self.input_dims(), policy.limits)
            }
            Some(InputSpec::Picture(_)) | None => source::open_inputs_with(inputs, *policy),
        }
    }

    /// Opens the inputs of one file of a [listing](Self::list). After an error, the file has no further inputs.
    #[must_use]
    pub fn open_file(&self, file: &NamedFile, policy: &ImagePolicy) -> NamedInputs {
        match self.input_spec() {
            Some(InputSpec::Series(_)) => {
                let (inputs, report) = self.open_table(file, &self.table(), policy);
                source::numbers::log_table(file, &report);
                inputs
            }
            Some(InputSpec::Tensor {}) => {
                source::numbers::open_tensor_file(file, self.input_dims(), &policy.limits)
            }
            Some(InputSpec::Picture(_)) | None => source::open_input_file(file, policy),
        }
    }

    /// Opens the inputs of one file as [`open_file`](Self::open_file) does, but with a table of this form. Returns also what
    /// has become of the rows of the table, which the caller reports; nothing for a file that is no table.
    #[must_use]
    pub fn open_table(
        &self,
        file: &NamedFile,
        table: &TableSpec,
        policy: &ImagePolicy,
    ) -> (NamedInputs, TableReport) {
        match self.input_spec() {
            Some(InputSpec::Series(spec)) => {
                source::numbers::open_window_file(file, spec, table, &policy.limits)
            }
            Some(InputSpec::Tensor {} | InputSpec::Picture(_)) | None => {
                (self.open_file(file, policy), TableReport::default())
            }
        }
    }

    /// Returns the form of the tables that the bundle declares; every key is missing if it declares none.
    #[must_use]
    pub fn table(&self) -> TableSpec {
        match self {
            Self::FixedLatent(encoder, _) => encoder.table().clone(),
            Self::ImageCodec(..) => TableSpec::default(),
        }
    }

    /// Lists the input files of these files and folders, with a name for the outputs of each, none of which is reserved.
    ///
    /// # Errors
    /// [`InputError::Io`] for a path that cannot be listed, [`InputError::NoImages`] or [`InputError::NoNumbers`] if there
    /// are no files to read.
    pub fn list(&self, inputs: &[PathBuf], reserved: &[&str]) -> Result<InputListing, InputError> {
        let takes_numbers = matches!(self.input_spec(), Some(InputSpec::Series(_) | InputSpec::Tensor {}));
        source::list(inputs, takes_numbers, reserved)
    }

    /// Returns the size that an image is reduced to, as width and height, if it has over a thousand times as many pixels:
    /// the bundle is probably not meant for such images.
    #[must_use]
    pub fn drastic_reduction(&self, image: &DynamicImage) -> Option<(u32, u32)> {
        let Some(InputSpec::Picture(spec)) = self.input_spec() else { return None };
        drastic_reduction(spec, [image.width(), image.height()])
    }

    /// Returns the dimensions of a fixed-latent encoder's input tensor; none for an image codec.
    fn input_dims(&self) -> &[u32] {
        match self {
            Self::FixedLatent(encoder, _) => encoder.input_dims(),
            Self::ImageCodec(..) => &[],
        }
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
