//! Baseline codecs for images. Sizes are those of complete files, including their headers.
//!
//! PNG is lossless and has one size. JPEG and WebP are compared at equal quality, with the lowest quality
//! setting whose decoded image reaches a PSNR; or at equal bytes, with the best file that is not larger.
//! Every [`Baseline`] can be measured at all its settings, for a curve.

#[cfg(feature = "baselines")]
mod avif;
mod baseline;
mod chroma_sampling;
mod fitting;
mod jpeg;
mod png;
mod search;
#[cfg(feature = "baselines")]
mod turbo_jpeg;
#[cfg(feature = "webp")]
mod webp;

use std::ops::RangeInclusive;

use crate::QualityError;

#[cfg(feature = "baselines")]
pub use avif::Avif;
pub use baseline::{Baseline, baseline_point};
pub use chroma_sampling::ChromaSampling;
pub use fitting::{Fitting, fitting, jpeg_fitting};
pub use jpeg::{JpegPoint, jpeg_at_psnr, jpeg_encode, jpeg_point};
pub use png::png_bytes;
#[cfg(feature = "baselines")]
pub use turbo_jpeg::TurboJpeg;
#[cfg(feature = "webp")]
pub use webp::{Webp, WebpPoint, webp_at_psnr, webp_encode, webp_point};

pub(crate) use baseline::in_colours_of;
pub(crate) use png::encode as png_encode;

/// The result of one quality setting of a lossy codec for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodecPoint {
    /// The codec's quality setting: 1 to 100 for JPEG, 0 to 100 for WebP and AVIF. The scales are not
    /// comparable.
    pub quality: u8,
    /// Size of the complete file in bytes.
    pub bytes: usize,
    /// PSNR of the decoded image in dB; infinity if it equals the original.
    pub psnr: f64,
}

fn check_quality(codec: &'static str, qualities: &RangeInclusive<u8>, found: u8) -> Result<(), QualityError> {
    if qualities.contains(&found) {
        return Ok(());
    }
    let (min, max) = (*qualities.start(), *qualities.end());
    Err(QualityError::InvalidSetting { codec, found, min, max })
}
