use std::{borrow::Cow, path::PathBuf};

use image::DynamicImage;
use lopside_bundle::{HeadKind, HeadSpec, InputSpec, picture::AnyBundle};
use lopside_input::picture_of;
use lopside_latent::{IdOnWire, LatentSpaceId, Limits, picture::Quality};

use crate::{
    EdgeError, Encoded, Encoder, PictureEncoder, PictureOptions, eight_bit,
    source::{self, Input, Inputs},
};

/// The encoder half of a bundle of either kind.
#[derive(Debug)]
pub enum AnyEncoder {
    /// Of a vector model: pictures of one size, windows or tensors; and how many layers a frame has at most.
    Vector(Box<Encoder>, Option<usize>),
    /// Of a photo model, and how it encodes.
    Picture(Box<PictureEncoder>, PictureOptions),
}

/// How a bundle of whichever kind encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Of photo models all of it, of others the layers.
    pub picture: PictureOptions,
    /// Of photo models: by the fast encoder.
    pub fast: bool,
}

impl AnyEncoder {
    /// The encoder of a bundle.
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

    /// The bundle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Vector(encoder, _) => encoder.name(),
            Self::Picture(encoder, _) => encoder.name(),
        }
    }

    /// The latent space of its frames.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::Vector(encoder, _) => encoder.space().id(),
            Self::Picture(encoder, _) => encoder.space().id(),
        }
    }

    /// What it takes; none of a photo model, which takes pictures of any size.
    #[must_use]
    pub fn input(&self) -> Option<&InputSpec> {
        match self {
            Self::Vector(encoder, _) => Some(encoder.input()),
            Self::Picture(..) => None,
        }
    }

    /// How many layers its model has.
    #[must_use]
    pub fn all_layers(&self) -> usize {
        match self {
            Self::Vector(encoder, _) => encoder.space().layers().len(),
            Self::Picture(encoder, _) => encoder.space().layout().layers().len(),
        }
    }

    /// From now on frames have so many layers at most and, of a photo model, this quality, 1 to 100, or the nearest one
    /// there is; the quality that holds, if there is such a choice.
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

    /// The inputs of these files and folders, of the kind that the encoder takes.
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

    /// The heads that a frame can be sent to, by the manifest; none of a photo model, whose frames are pictures.
    #[must_use]
    pub fn heads(&self) -> &[HeadSpec] {
        match self {
            Self::Vector(encoder, _) => encoder.heads(),
            Self::Picture(..) => &[],
        }
    }

    /// The 8-bit picture, grey or RGB, that a reconstruction stands for: in the size of the first head that makes
    /// pictures, else in the size that the encoder sees.
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

    /// The frame of an input; `id` goes before the options.
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
                Err(EdgeError::OtherInput { bundle: encoder.name().to_owned(), takes: "pictures" })
            }
        }
    }

    /// The frame of an input, in the quality and with the layers of this one, which carries its id.
    ///
    /// # Errors
    /// [`EdgeError::Latent`] when the frame is of another latent space or damaged, and as [`AnyEncoder::encode`].
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

    /// The integers of a frame, layer after layer.
    ///
    /// # Errors
    /// [`EdgeError::Latent`] when it is of another latent space or damaged.
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
