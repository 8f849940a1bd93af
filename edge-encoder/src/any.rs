use std::borrow::Cow;

use image::DynamicImage;
use lopside_latent::{IdOnWire, LatentSpaceId};

use crate::{EdgeError, Encoded, Encoder, PictureEncoder, PictureOptions, eight_bit, picture_of};

/// The encoder half of a bundle of either kind.
#[derive(Debug)]
pub enum AnyEncoder {
    /// Of a vector model: pictures of one size.
    Vector(Box<Encoder>),
    /// Of a photo model, and how it encodes.
    Picture(Box<PictureEncoder>, PictureOptions),
}

impl AnyEncoder {
    /// The bundle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Vector(encoder) => encoder.name(),
            Self::Picture(encoder, _) => encoder.name(),
        }
    }

    /// The latent space of its frames.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::Vector(encoder) => encoder.space().id(),
            Self::Picture(encoder, _) => encoder.space().id(),
        }
    }

    /// The 8-bit picture, grey or RGB, that a reconstruction stands for: in the size that the encoder sees.
    #[must_use]
    pub fn input<'a>(&self, picture: &'a DynamicImage) -> Cow<'a, DynamicImage> {
        match self {
            Self::Vector(encoder) => Cow::Owned(picture_of(picture, encoder.preprocess())),
            Self::Picture(..) => eight_bit(picture),
        }
    }

    /// The frame of a picture of any size; `id` goes before the options.
    ///
    /// # Errors
    /// As [`Encoder::encode`] and [`PictureEncoder::encode`].
    pub fn encode(&self, picture: &DynamicImage, id: IdOnWire) -> Result<Encoded, EdgeError> {
        match self {
            Self::Vector(encoder) => encoder.encode(picture, id),
            Self::Picture(encoder, options) => encoder.encode(picture, &PictureOptions { id, ..*options }),
        }
    }
}
