//! The inputs and the baseline settings that several benches share.

use std::path::Path;

use image::DynamicImage;
use lopside_bundle::{
    BundlePart,
    image_codec::{AnyBundle, ImageCodecBundle},
};
use lopside_input::{InputLimits, read_image};
use lopside_latent::image_codec::Quality;
use lopside_quality::{EncodeJob, Webp};

use crate::{BenchError, CodecArgs};

/// A job that the bench times.
pub(crate) type TimedJob<'a> = EncodeJob<'a, BenchError>;

/// The quality of the baseline codecs. The bit rate is about that of our middle to highest quality.
pub(crate) const BASELINE_QUALITY: u8 = 75;

/// Returns our qualities: low, middle and high bit rates.
pub(crate) fn our_qualities() -> impl Iterator<Item = Quality> {
    [25, 45, 65].into_iter().filter_map(Quality::new)
}

/// Loads the bundle and the image that the options name.
pub(crate) fn load_inputs(options: &CodecArgs) -> Result<(ImageCodecBundle, DynamicImage), BenchError> {
    let AnyBundle::ImageCodec(bundle) = AnyBundle::load(&options.bundle, BundlePart::Encoder)? else {
        return Err(BenchError::NotPhotoBundle { folder: options.bundle.display().to_string() });
    };
    Ok((bundle, read_picture(&options.picture)?.into_rgb8().into()))
}

/// Reads an image as the encoder does.
pub(crate) fn read_picture(path: &Path) -> Result<DynamicImage, BenchError> {
    read_image(path, &InputLimits::default())
        .map_err(|source| BenchError::Image { path: path.display().to_string(), source })
}

/// Returns the number of pixels of an image.
pub(crate) fn pixel_count(image: &DynamicImage) -> u64 {
    u64::from(image.width()) * u64::from(image.height())
}

/// Returns a job for libwebp with one of its methods. Method 4, the default of `cwebp`, is the reference of
/// all ratios.
pub(crate) fn webp_job(method: u8, image: &DynamicImage) -> Result<TimedJob<'_>, BenchError> {
    let name = format!("libwebp, method {method}, quality {BASELINE_QUALITY}");
    Ok(EncodeJob::for_baseline(name, Webp::with_method(method)?, image, BASELINE_QUALITY))
}
