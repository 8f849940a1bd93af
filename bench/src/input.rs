//! The inputs and the baseline settings that several benches share.

use image::DynamicImage;
use lopside_bundle::{
    Part,
    picture::{AnyBundle, PictureBundle},
};
use lopside_latent::picture::Quality;
use lopside_quality::{EncodeJob, Webp};

use crate::{BenchError, Options};

/// A job that the bench times.
pub(crate) type Job<'a> = EncodeJob<'a, BenchError>;

/// The quality of the baseline codecs. The bit rate is about that of our middle to highest quality.
pub(crate) const PEER_QUALITY: u8 = 75;

/// Returns our qualities: low, middle and high bit rates.
pub(crate) fn qualities() -> impl Iterator<Item = Quality> {
    [25, 45, 65].into_iter().filter_map(Quality::new)
}

/// Loads the bundle and the image that the options name.
pub(crate) fn open(options: &Options) -> Result<(PictureBundle, DynamicImage), BenchError> {
    let AnyBundle::Picture(bundle) = AnyBundle::load(&options.bundle, Part::Encoder)? else {
        return Err(BenchError::NotPhoto { folder: options.bundle.display().to_string() });
    };
    let failed = |source| BenchError::Picture { path: options.picture.display().to_string(), source };
    let picture = image::open(&options.picture).map_err(failed)?.to_rgb8().into();
    Ok((bundle, picture))
}

/// Returns the number of pixels of an image.
pub(crate) fn pixels(picture: &DynamicImage) -> u64 {
    u64::from(picture.width()) * u64::from(picture.height())
}

/// Returns a job for libwebp with one of its methods. Method 4, the default of `cwebp`, is the reference of
/// all ratios.
pub(crate) fn webp(method: u8, picture: &DynamicImage) -> Result<Job<'_>, BenchError> {
    let name = format!("libwebp, method {method}, quality {PEER_QUALITY}");
    Ok(EncodeJob::of_peer(name, Webp::with_method(method)?, picture, PEER_QUALITY))
}
