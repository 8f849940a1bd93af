use std::path::Path;

use lopside_bundle::{
    BundlePart,
    image_codec::{AnyBundle, ImageCodecBundle},
};
use lopside_latent::{
    IdOnWire,
    image_codec::{ImageCodecHeader, Quality},
};

use crate::{BenchError, error::ServingError};

/// The quality of the frames; any other has the same cost.
const QUALITY: u8 = 50;

/// Returns the frame of a square image whose coefficients are all zero. It is valid, and its size hardly depends on that
/// of the image.
pub(super) fn flat_image_frame(photo: &Path, side: u32) -> Result<Vec<u8>, BenchError> {
    let AnyBundle::ImageCodec(bundle) = AnyBundle::load(photo, BundlePart::Heads)? else {
        return Err(BenchError::NotPhotoBundle { folder: photo.display().to_string() });
    };
    encode_zeros(&bundle, side)
}

fn encode_zeros(bundle: &ImageCodecBundle, side: u32) -> Result<Vec<u8>, BenchError> {
    let quality = Quality::new(QUALITY)
        .ok_or_else(|| ServingError::LoadTask { reason: format!("{QUALITY} is not a quality") })?;
    let header = ImageCodecHeader { width: side, height: side, is_grey: false, quality };
    let layout = bundle.space.layout();
    let layers: Vec<Vec<i16>> =
        (0..layout.layers().len()).map(|layer| vec![0; layout.elements(layer, side, side)]).collect();
    Ok(bundle.space.encode_integers(header, &layers, IdOnWire::Present)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lopside_latent::{Limits, image_codec::ImageCodecFrame};

    #[test]
    fn a_large_image_has_a_small_frame_that_decodes() {
        let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/photo");
        let bytes = flat_image_frame(&photo, 1600).unwrap();
        assert!(bytes.len() < 1000, "{}", bytes.len());
        let frame = ImageCodecFrame::parse(&bytes, &Limits::default(), None).unwrap();
        assert_eq!((frame.header.width, frame.header.height), (1600, 1600));
    }
}
