use std::path::PathBuf;

use crate::PictureShape;

/// Why a picture or a codec was not measured, encoded, compared or shown.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// A picture with too few pixels for multi-scale SSIM.
    #[error("MS-SSIM needs sides of at least {min} pixels, the picture is {found}: measure PSNR alone")]
    TooSmall {
        /// The picture's shape.
        found: PictureShape,
        /// The shortest side, in pixels.
        min: u32,
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
    /// A trade of time for size that the codec does not have.
    #[error("{codec} {knob} {found} does not exist: choose one from 0 to {max}")]
    Effort {
        /// The codec.
        codec: &'static str,
        /// What the codec calls it: `method` or `speed`.
        knob: &'static str,
        /// The one asked for.
        found: u8,
        /// The highest one.
        max: u8,
    },
    /// A codec's program is not installed.
    #[error("the program {program} is not on PATH: install it, on Debian with `apt-get install {package}`")]
    Program {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
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
    /// A point that no rate-distortion curve can go through.
    #[error(
        "the {curve} has a point of {bpp} bits per pixel and quality {quality}: \
         give a positive rate and finite numbers"
    )]
    RatePoint {
        /// `anchor` or `test`.
        curve: &'static str,
        /// The point's bits per pixel.
        bpp: f64,
        /// The point's quality.
        quality: f64,
    },
    /// A curve that does not rise often enough to be compared.
    #[error(
        "of the {given} points of the {curve} only {left} rise in quality with the rate, fewer than {min}: \
         measure more settings"
    )]
    FewPoints {
        /// `anchor` or `test`.
        curve: &'static str,
        /// The points given.
        given: usize,
        /// Those that no other point dominates.
        left: usize,
        /// The fewest to compare.
        min: usize,
    },
    /// Two curves that reach no common quality.
    #[error(
        "the anchor has qualities {} to {}, the test {} to {}: measure settings with common qualities",
        anchor[0], anchor[1], test[0], test[1]
    )]
    NoOverlap {
        /// The anchor's lowest and highest quality, within the rates asked for.
        anchor: [f64; 2],
        /// The test's lowest and highest quality.
        test: [f64; 2],
    },
    /// Two bit rates that are no interval.
    #[error("{low} to {high} bits per pixel is no interval: give two positive rates, the lower one first")]
    RateInterval {
        /// Bits per pixel to begin at.
        low: f64,
        /// Bits per pixel to end at.
        high: f64,
    },
    /// Curves over different settings have no mean.
    #[error(
        "a curve of {codec} has the settings {found:?}, the first one {expected:?}: measure the same ones"
    )]
    Settings {
        /// The codec.
        codec: String,
        /// The first curve's settings.
        expected: Vec<u32>,
        /// The other curve's settings.
        found: Vec<u32>,
    },
    /// No curve, or none with a finite point.
    #[error("there is no point to average or to draw: give a curve with finite values")]
    NoPoints,
    /// A plot could not be drawn.
    #[error("the plot could not be drawn, {reason}: choose a size of at least 400×300 pixels")]
    Draw {
        /// What the drawing library said.
        reason: String,
    },
    /// The system does not tell the time that was spent.
    #[error("the system does not tell the CPU time, {reason}: measure on Linux or macOS")]
    Clock {
        /// What the system said.
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
    /// A contact sheet or a plot could not be written.
    #[error("the picture could not be written to {}, {reason}: choose a writable path", path.display())]
    Save {
        /// Where it should have gone.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}
