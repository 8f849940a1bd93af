use image::{
    DynamicImage, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use crate::{QualityError, image_view::ImageView};

/// Returns the size in bytes of an image as a PNG file, with the best compression and a filter chosen per
/// row.
///
/// # Errors
/// Returns [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an image that is not supported,
/// [`QualityError::CodecFailed`] if the encoder fails.
pub fn png_bytes(image: &DynamicImage) -> Result<usize, QualityError> {
    encode(&ImageView::new(image)?).map(|png| png.len())
}

pub(crate) fn encode(view: &ImageView<'_>) -> Result<Vec<u8>, QualityError> {
    let mut png = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive);
    let (width, height) = (view.shape.width, view.shape.height);
    encoder.write_image(view.samples, width, height, view.colour_type()).map_err(|error| {
        QualityError::CodecFailed { codec: "PNG", action: "encode", reason: error.to_string() }
    })?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{psnr, samples};

    #[test]
    fn the_file_is_lossless() {
        for image in [samples::natural_grey(40, 30), samples::natural_rgb(40, 30)] {
            let png = encode(&ImageView::new(&image).unwrap()).unwrap();
            assert!(psnr(&image::load_from_memory(&png).unwrap(), &image).unwrap().is_infinite());
            assert_eq!(png_bytes(&image).unwrap(), png.len());
        }
    }

    #[test]
    fn a_flat_image_is_smaller_than_a_busy_one() {
        let flat = DynamicImage::new_luma8(64, 64);
        let busy = samples::natural_grey(64, 64);
        assert!(png_bytes(&flat).unwrap() * 10 < png_bytes(&busy).unwrap());
    }
}
