//! Image quality, the file sizes of baseline codecs for the same image, rate-distortion curves and the
//! differences between them, and contact sheets.
//!
//! Images are 8-bit, grey or RGB: a [`DynamicImage`](image::DynamicImage) of any other kind is refused with a
//! [`QualityError`]. Everything is computed in memory; only functions named `save_…` write a file.
//!
//! Features enable everything that a device does not need:
//!
//! - `webp`: the WebP baseline. It compiles libwebp and therefore needs a C compiler.
//! - `baselines`: `webp`, and the baselines that use libjpeg-turbo and libavif. libjpeg-turbo is compiled
//!   with a C compiler, and with its SIMD code if NASM is installed; AVIF can be measured if `avifenc` and
//!   `avifdec` are on PATH.
//! - `labels`: sheets of images with a line of text above each.
//! - `plot`: curves as SVG and PNG.
//! - `clock`: the CPU time of encoding, with one codec or several in turn, on Unix.
//!
//! ```
//! use image::{DynamicImage, GrayImage, Luma};
//! use lopside_quality::{jpeg_at_psnr, png_bytes, psnr};
//!
//! let picture = DynamicImage::ImageLuma8(GrayImage::from_fn(32, 32, |x, y| Luma([(4 * x + 3 * y) as u8])));
//! let jpeg = jpeg_at_psnr(&picture, 30.0)?;
//! assert!(jpeg.psnr >= 30.0 && jpeg.bytes > 0 && png_bytes(&picture)? > 0);
//! assert_eq!(psnr(&picture, &picture)?, f64::INFINITY);
//! # Ok::<(), lopside_quality::QualityError>(())
//! ```

mod baselines;
mod bd_rate;
#[cfg(feature = "clock")]
mod clock;
mod curve;
mod error;
#[cfg(feature = "labels")]
mod glyphs;
mod image_shape;
mod image_view;
#[cfg(feature = "labels")]
mod labelled;
mod ms_ssim;
mod number;
mod pchip;
#[cfg(feature = "plot")]
mod plot;
mod psnr;
#[cfg(test)]
mod samples;
mod sheet;
#[cfg(feature = "clock")]
mod speed;

#[cfg(feature = "baselines")]
pub use baselines::{Avif, TurboJpeg};
pub use baselines::{
    Baseline, ChromaSampling, CodecPoint, Fitting, JpegPoint, baseline_point, fitting, jpeg_at_psnr,
    jpeg_encode, jpeg_fitting, jpeg_point, png_bytes,
};
#[cfg(feature = "webp")]
pub use baselines::{Webp, WebpPoint, webp_at_psnr, webp_encode, webp_point};
pub use bd_rate::{BdRate, RatePoint, bd_rate, bd_rate_within};
#[cfg(feature = "clock")]
pub use clock::encode_ms_per_megapixel;
pub use curve::{RdCurve, RdPoint, format_rd_csv};
pub use error::QualityError;
pub use image_shape::ImageShape;
#[cfg(feature = "labels")]
pub use labelled::LabelledSheet;
pub use ms_ssim::{MS_SSIM_EXPONENTS, MS_SSIM_MIN_SIDE, ms_ssim, ms_ssim_db, ms_ssim_window};
pub use number::group_digits;
#[cfg(feature = "plot")]
pub use plot::{QualityAxis, RateAxis, RdPlot};
pub use psnr::{mse, psnr, psnr_of_mse};
pub use sheet::{ContactSheet, MAX_SHEET_PIXELS};
#[cfg(feature = "clock")]
pub use speed::{EncodeJob, EncodeTime, measure_encode_times};
