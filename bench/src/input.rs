//! What every bench starts from and is measured against.

use image::DynamicImage;
use lopside_bundle::{
    Part,
    picture::{AnyBundle, PictureBundle},
};
use lopside_latent::picture::Quality;
use lopside_quality::{EncodeJob, Webp};

use crate::{BenchError, Options};

/// Something to time.
pub(crate) type Job<'a> = EncodeJob<'a, BenchError>;

/// The peers' quality: about as many bits as the middle one of ours to the highest.
pub(crate) const PEER_QUALITY: u8 = 75;

/// Our qualities: low, middle and high bit rates.
pub(crate) fn qualities() -> impl Iterator<Item = Quality> {
    [25, 45, 65].into_iter().filter_map(Quality::new)
}

/// The bundle and the picture that the options name.
pub(crate) fn open(options: &Options) -> Result<(PictureBundle, DynamicImage), BenchError> {
    let AnyBundle::Picture(bundle) = AnyBundle::load(&options.bundle, Part::Encoder)? else {
        return Err(BenchError::NotPhoto { folder: options.bundle.display().to_string() });
    };
    let failed = |source| BenchError::Picture { path: options.picture.display().to_string(), source };
    let picture = image::open(&options.picture).map_err(failed)?.to_rgb8().into();
    Ok((bundle, picture))
}

/// Pixels of a picture.
pub(crate) fn pixels(picture: &DynamicImage) -> u64 {
    u64::from(picture.width()) * u64::from(picture.height())
}

/// libwebp by one of its methods; 4 is `cwebp`'s own, which everything is measured against.
pub(crate) fn webp(method: u8, picture: &DynamicImage) -> Result<Job<'_>, BenchError> {
    let name = format!("libwebp, method {method}, quality {PEER_QUALITY}");
    Ok(EncodeJob::of_peer(name, Webp::with_method(method)?, picture, PEER_QUALITY))
}
