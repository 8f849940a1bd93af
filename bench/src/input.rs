//! What every bench starts from.

use image::DynamicImage;
use lopside_bundle::{
    Part,
    picture::{AnyBundle, PictureBundle},
};

use crate::{BenchError, Options};

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
