use std::path::PathBuf;

use crate::PictureShape;

/// Why a picture was not measured, encoded or shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// A picture is neither 8-bit grey nor 8-bit RGB.
    #[error(
        "the picture's samples are {found:?}, not 8-bit grey or RGB: convert it with to_luma8 or to_rgb8"
    )]
    Colour {
        /// The colour type found.
        found: image::ColorType,
    },
    /// A picture without pixels.
    #[error("the picture has {width}×{height} pixels: give one with at least one pixel")]
    Empty {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Two pictures that cannot be compared sample by sample.
    #[error("the pictures differ in shape, {a} and {b}: resize or convert one to the other's shape")]
    Differ {
        /// The first picture's shape.
        a: PictureShape,
        /// The second picture's shape.
        b: PictureShape,
    },
    /// A target that is not a number.
    #[error("the target PSNR is not a number: give it in decibels, infinity for an exact picture")]
    Target,
    /// A quality setting that the codec does not have.
    #[error("{codec} quality {found} does not exist: choose one from {min} to {max}")]
    Setting {
        /// The codec.
        codec: &'static str,
        /// The setting asked for.
        found: u8,
        /// The lowest one.
        min: u8,
        /// The highest one.
        max: u8,
    },
    /// A picture with a longer side than the codec's header can name.
    #[error("{codec} holds at most {limit} pixels a side, the picture is {found}: crop or shrink it")]
    Side {
        /// The codec.
        codec: &'static str,
        /// The picture's shape.
        found: PictureShape,
        /// The longest side, in pixels.
        limit: u32,
    },
    /// A codec failed on a picture that it should have taken.
    #[error("{codec} could not {action} the picture, {reason}: leave it out of the comparison")]
    Codec {
        /// The codec.
        codec: &'static str,
        /// `encode` or `decode`.
        action: &'static str,
        /// What the codec said.
        reason: String,
    },
    /// A contact sheet without columns, or one that enlarges nothing.
    #[error("a contact sheet of {columns} columns at scale {scale} shows nothing: both are at least 1")]
    Grid {
        /// Pairs in a row.
        columns: u32,
        /// Sheet pixels a picture pixel, along one side.
        scale: u32,
    },
    /// A contact sheet would grow over its limit.
    #[error(
        "the contact sheet would have {width}×{height} pixels, over the limit of {limit}: \
         lower its scale or start a second sheet"
    )]
    SheetTooLarge {
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
        /// The limit, in pixels.
        limit: u64,
    },
    /// A contact sheet could not be written.
    #[error("the contact sheet could not be written to {}, {reason}: choose a writable path", path.display())]
    Save {
        /// Where it should have gone.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}
