//! Picture quality, the bytes that peer codecs need for the same picture, and contact sheets.
//!
//! Pictures are 8-bit, grey or RGB: a [`DynamicImage`](image::DynamicImage) of any other kind is refused with a
//! [`QualityError`]. Everything is computed in memory; only [`ContactSheet::save_png`] writes a file. The WebP
//! peer compiles libwebp, so it sits behind the feature `webp`; all the rest is Rust.
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

mod error;
mod peers;
mod picture;
mod psnr;
#[cfg(test)]
mod samples;
mod sheet;

pub use error::QualityError;
pub use peers::{CodecPoint, JpegPoint, jpeg_at_psnr, jpeg_encode, jpeg_point, png_bytes};
#[cfg(feature = "webp")]
pub use peers::{WebpPoint, webp_at_psnr, webp_encode, webp_point};
pub use picture::PictureShape;
pub use psnr::{mse, psnr, psnr_of_mse};
pub use sheet::{ContactSheet, MAX_SHEET_PIXELS};
