use std::path::PathBuf;

use crate::ImageShape;

/// The error type of this crate: the reason why an image or a codec was not measured, encoded, compared or
/// shown.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// The image is neither 8-bit grey nor 8-bit RGB.
    #[error("the image's samples are {found:?}, not 8-bit grey or RGB: convert it with to_luma8 or to_rgb8")]
    UnsupportedColour {
        /// The colour type found.
        found: image::ColorType,
    },
    /// The image is empty.
    #[error("the image has {width}×{height} pixels: give one with at least one pixel")]
    EmptyImage {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Two images cannot be compared sample by sample.
    #[error("the images differ in shape, {a} and {b}: resize or convert one to the other's shape")]
    ShapeMismatch {
        /// The shape of the first image.
        a: ImageShape,
        /// The shape of the second image.
        b: ImageShape,
    },
    /// The image is too small for multi-scale SSIM.
    #[error("MS-SSIM needs sides of at least {min} pixels, but the image is {found}: measure PSNR alone")]
    ImageTooSmall {
        /// The shape of the image.
        found: ImageShape,
        /// Minimum length of the shorter side, in pixels.
        min: u32,
    },
    /// The target is not a number.
    #[error("the target PSNR is not a number: give it in decibels, or infinity for an exact image")]
    InvalidTarget,
    /// The codec does not have the requested quality setting.
    #[error("{codec} quality {found} does not exist: choose one from {min} to {max}")]
    InvalidSetting {
        /// The codec.
        codec: &'static str,
        /// The requested setting.
        found: u8,
        /// The lowest valid setting.
        min: u8,
        /// The highest valid setting.
        max: u8,
    },
    /// The codec does not have the requested effort setting, which trades time for size.
    #[error("{codec} {knob} {found} does not exist: choose one from 0 to {max}")]
    InvalidEffort {
        /// The codec.
        codec: &'static str,
        /// The codec's own name for the setting: `method` or `speed`.
        knob: &'static str,
        /// The requested value.
        found: u8,
        /// The highest valid value.
        max: u8,
    },
    /// A codec's program is not installed.
    #[error("the program {program} is not on PATH: install it, on Debian with `apt-get install {package}`")]
    MissingProgram {
        /// The program.
        program: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// The image has a longer side than the codec's header can store.
    #[error("{codec} supports at most {limit} pixels per side, but the image is {found}: crop or shrink it")]
    SideTooLong {
        /// The codec.
        codec: &'static str,
        /// The shape of the image.
        found: ImageShape,
        /// Maximum length of a side, in pixels.
        limit: u32,
    },
    /// A codec failed on an image that it should accept.
    #[error("{codec} could not {action} the image ({reason}): leave it out of the comparison")]
    CodecFailed {
        /// The codec.
        codec: &'static str,
        /// `encode` or `decode`.
        action: &'static str,
        /// The codec's error message.
        reason: String,
    },
    /// A point that cannot be part of a rate–distortion curve.
    #[error(
        "the {curve} has a point of {bpp} bits per pixel and quality {quality}: \
         give a positive rate and finite numbers"
    )]
    InvalidRatePoint {
        /// `anchor` or `test`.
        curve: &'static str,
        /// Bits per pixel of the point.
        bpp: f64,
        /// Quality of the point.
        quality: f64,
    },
    /// A curve has too few rising points to be compared.
    #[error(
        "of the {given} points of the {curve} only {left} rise in quality with the rate, fewer than {min}: \
         measure more settings"
    )]
    TooFewPoints {
        /// `anchor` or `test`.
        curve: &'static str,
        /// Number of points given.
        given: usize,
        /// Number of points that no other point dominates.
        left: usize,
        /// Minimum number of points.
        min: usize,
    },
    /// Two curves do not reach a common quality.
    #[error(
        "the anchor has qualities {} to {}, but the test has {} to {}: measure settings whose qualities overlap",
        anchor[0], anchor[1], test[0], test[1]
    )]
    NoOverlap {
        /// The anchor's lowest and highest quality, within the requested rates.
        anchor: [f64; 2],
        /// The test's lowest and highest quality.
        test: [f64; 2],
    },
    /// Two bit rates do not form an interval.
    #[error(
        "{low} to {high} bits per pixel is not an interval: give two positive rates, the lower one first"
    )]
    InvalidRateInterval {
        /// Lower bound, in bits per pixel.
        low: f64,
        /// Upper bound, in bits per pixel.
        high: f64,
    },
    /// Curves with different settings cannot be averaged.
    #[error(
        "a curve of {codec} has the settings {found:?}, but the first one has {expected:?}: measure the same settings"
    )]
    SettingsMismatch {
        /// The codec.
        codec: String,
        /// The settings of the first curve.
        expected: Vec<u32>,
        /// The settings of the other curve.
        found: Vec<u32>,
    },
    /// There is no curve, or no curve with a finite point.
    #[error("there is no point to average or draw: give a curve with finite values")]
    NoPoints,
    /// A plot could not be drawn.
    #[error("the plot could not be drawn ({reason}): choose a size of at least 400×300 pixels")]
    DrawFailed {
        /// The drawing library's error message.
        reason: String,
    },
    /// The system does not report CPU time.
    #[error("the CPU time could not be read ({reason}): measure on Linux or macOS")]
    ClockUnavailable {
        /// The system's error message.
        reason: String,
    },
    /// A contact sheet without columns, or with a scale of 0.
    #[error("a contact sheet of {columns} columns at scale {scale} is empty: both must be at least 1")]
    InvalidGrid {
        /// Number of columns.
        columns: u32,
        /// Sheet pixels per image pixel, along one side.
        scale: u32,
    },
    /// A contact sheet would exceed its size limit.
    #[error(
        "the contact sheet would have {width}×{height} pixels, over the limit of {limit}: \
         lower its scale or create a second sheet"
    )]
    SheetTooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// The limit, in pixels.
        limit: u64,
    },
    /// A contact sheet or a plot could not be written.
    #[error("the image could not be written to {} ({reason}): choose a writable path", path.display())]
    SaveFailed {
        /// The path of the file.
        path: PathBuf,
        /// The system's error message.
        reason: String,
    },
}
