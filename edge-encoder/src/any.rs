use std::{borrow::Cow, path::PathBuf};

use image::DynamicImage;
use lopside_bundle::{HeadKind, HeadSpec, InputSpec, picture::AnyBundle};
use lopside_input::picture_of;
use lopside_latent::{IdOnWire, LatentSpaceId, Limits, picture::Quality};

use crate::{
    EdgeError, Encoded, Encoder, PictureEncoder, PictureOptions, eight_bit,
    source::{self, Input, Inputs},
};

/// The encoder of a bundle of either model kind.
#[derive(Debug)]
pub enum AnyEncoder {
    /// A fixed-latent model, which takes images of one size, windows or tensors; with the maximum number of
    /// layers per frame, `None` for all.
    Vector(Box<Encoder>, Option<usize>),
    /// An image codec, with its options.
    Picture(Box<PictureEncoder>, PictureOptions),
}

/// Encode options for bundles of either model kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Options of image codecs; fixed-latent models use only the number of layers.
    pub picture: PictureOptions,
    /// For image codecs: whether to use the fast encoder.
    pub fast: bool,
}

impl AnyEncoder {
    /// Loads the encoder of a bundle.
    ///
    /// # Errors
    /// As [`Encoder::new`], [`PictureEncoder::new`] and [`PictureEncoder::fast`].
    pub fn new(bundle: &AnyBundle, options: &EncodeOptions) -> Result<Self, EdgeError> {
        let EncodeOptions { picture, fast } = *options;
        match bundle {
            AnyBundle::Vector(bundle) => Ok(Self::Vector(Box::new(Encoder::new(bundle)?), picture.layers)),
            AnyBundle::Picture(bundle) => {
                let make = if fast { PictureEncoder::fast } else { PictureEncoder::new };
                Ok(Self::Picture(Box::new(make(bundle)?), picture))
            }
        }
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Vector(encoder, _) => encoder.name(),
            Self::Picture(encoder, _) => encoder.name(),
        }
    }

    /// Returns the latent space of its frames.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::Vector(encoder, _) => encoder.space().id(),
            Self::Picture(encoder, _) => encoder.space().id(),
        }
    }

    /// Returns the input specification; `None` for an image codec, which takes images of any size.
    #[must_use]
    pub fn input(&self) -> Option<&InputSpec> {
        match self {
            Self::Vector(encoder, _) => Some(encoder.input()),
            Self::Picture(..) => None,
        }
    }

    /// Returns the number of layers of the model.
    #[must_use]
    pub fn all_layers(&self) -> usize {
        match self {
            Self::Vector(encoder, _) => encoder.space().layers().len(),
            Self::Picture(encoder, _) => encoder.space().layout().layers().len(),
        }
    }

    /// Sets the maximum number of layers of further frames and, for an image codec, their quality, clamped to
    /// 1 to 100. Returns the new quality, or `None` for encoders without that setting.
    pub fn set(&mut self, quality: u8, layers: usize) -> Option<u8> {
        match self {
            Self::Vector(_, limit) => {
                *limit = Some(layers);
                None
            }
            Self::Picture(_, options) => {
                options.layers = Some(layers);
                options.quality = Quality::new(quality.clamp(1, 100)).unwrap_or(options.quality);
                Some(options.quality.get())
            }
        }
    }

    /// Opens the inputs of these files and folders, of the kind that the encoder takes.
    ///
    /// # Errors
    /// As [`source::open`] and [`source::numbers`].
    pub fn open(&self, inputs: &[PathBuf]) -> Result<Inputs, EdgeError> {
        match self {
            Self::Vector(encoder, _) => match encoder.input() {
                InputSpec::Picture(_) => source::inputs(inputs),
                InputSpec::Series(spec) => source::numbers::windows(inputs, spec),
                InputSpec::Tensor {} => source::numbers::tensors(inputs, encoder.input_dims()),
            },
            Self::Picture(..) => source::inputs(inputs),
        }
    }

    /// Checks that no two inputs of these files and folders would write the same output file.
    ///
    /// # Errors
    /// [`EdgeError::SameOutput`], or [`EdgeError::Io`] for a path that cannot be listed.
    pub fn check_output_names(&self, inputs: &[PathBuf]) -> Result<(), EdgeError> {
        source::check_output_names(&self.list(inputs)?)
    }

    /// Returns the input files that [`open`](Self::open) reads from these files and folders, in its order.
    ///
    /// # Errors
    /// [`EdgeError::Io`] for a path that cannot be listed.
    pub fn list(&self, inputs: &[PathBuf]) -> Result<Vec<PathBuf>, EdgeError> {
        source::list(inputs, matches!(self.input(), Some(InputSpec::Series(_) | InputSpec::Tensor {})))
    }

    /// Returns the heads that the manifest lists; none for an image codec, whose frames decode to images.
    #[must_use]
    pub fn heads(&self) -> &[HeadSpec] {
        match self {
            Self::Vector(encoder, _) => encoder.heads(),
            Self::Picture(..) => &[],
        }
    }

    /// Returns the 8-bit image, grey or RGB, that a reconstruction is compared with: in the size of the first
    /// head that produces images, otherwise in the input size of the encoder.
    #[must_use]
    pub fn original<'a>(&self, picture: &'a DynamicImage) -> Cow<'a, DynamicImage> {
        let Self::Vector(encoder, _) = self else { return eight_bit(picture) };
        let of_head = encoder.heads().iter().find_map(|head| match &head.kind {
            HeadKind::Reconstruct(spec) => Some(spec),
            _ => None,
        });
        match (of_head, encoder.input()) {
            (Some(spec), _) | (None, InputSpec::Picture(spec)) => Cow::Owned(picture_of(picture, spec)),
            _ => eight_bit(picture),
        }
    }

    /// Encodes an input; `id` overrides the options.
    ///
    /// # Errors
    /// As [`Encoder::encode_input`] and [`PictureEncoder::encode`].
    pub fn encode(&self, input: &Input, id: IdOnWire) -> Result<Encoded, EdgeError> {
        match (self, input) {
            (Self::Vector(encoder, layers), _) => encoder.encode_input(input, *layers, id),
            (Self::Picture(encoder, options), Input::Picture(picture)) => {
                encoder.encode(picture, &PictureOptions { id, ..*options })
            }
            (Self::Picture(encoder, _), Input::Numbers(_)) => {
                Err(EdgeError::OtherInput { bundle: encoder.name().to_owned(), takes: "images" })
            }
        }
    }

    /// Encodes an input with the quality and the layers of `frame`; the new frame carries the latent-space
    /// id.
    ///
    /// # Errors
    /// [`EdgeError::Latent`] if `frame` is damaged or of another latent space, and as [`AnyEncoder::encode`].
    pub fn encode_like(&self, input: &Input, frame: &[u8]) -> Result<Encoded, EdgeError> {
        let limits = Limits::default();
        match (self, input) {
            (Self::Vector(encoder, _), _) => {
                let values = encoder.space().decode(frame, &limits)?.len();
                encoder.encode_input(input, encoder.space().layers_of(values), IdOnWire::Present)
            }
            (Self::Picture(encoder, options), Input::Picture(picture)) => {
                let like = encoder.space().decode(frame, &limits)?;
                let (quality, layers) = (like.header.quality, Some(like.layers.len()));
                let options = PictureOptions { quality, layers, id: IdOnWire::Present, ..*options };
                encoder.encode(picture, &options)
            }
            (Self::Picture(..), Input::Numbers(_)) => self.encode(input, IdOnWire::Present),
        }
    }

    /// Returns the integers of a frame, layer by layer.
    ///
    /// # Errors
    /// [`EdgeError::Latent`] if it is damaged or of another latent space.
    pub fn integers(&self, frame: &[u8]) -> Result<Vec<i32>, EdgeError> {
        let limits = Limits::default();
        Ok(match self {
            Self::Vector(encoder, _) => encoder.space().decode(frame, &limits)?,
            Self::Picture(encoder, _) => {
                let layers = encoder.space().decode(frame, &limits)?.layers;
                layers.into_iter().flatten().map(i32::from).collect()
            }
        })
    }
}
