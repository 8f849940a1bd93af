use image::DynamicImage;

use crate::{QualityError, image_view::ImageView};

/// The largest 8-bit sample.
const PEAK: f64 = 255.0;

/// Returns the mean squared error of two images over the 8-bit samples of all their channels, in squared
/// levels: 0 for equal images, at most 255² = 65,025.
///
/// # Errors
/// [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an unsupported image, [`QualityError::ShapeMismatch`]
/// when the two images have different sizes or channels.
pub fn mse(a: &DynamicImage, b: &DynamicImage) -> Result<f64, QualityError> {
    let (a, b) = (ImageView::new(a)?, ImageView::new(b)?);
    a.check_same_shape(&b)?;
    let squares = a.samples.iter().zip(b.samples).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2));
    Ok(squares.sum::<u64>() as f64 / a.samples.len() as f64)
}

/// Returns the peak signal-to-noise ratio of two images in dB: [`psnr_of_mse`] of their [`mse`], 0 or more,
/// infinity for equal images. An RGB image has one error over its three channels, not the mean of three
/// ratios.
///
/// # Errors
/// The errors of [`mse`].
pub fn psnr(a: &DynamicImage, b: &DynamicImage) -> Result<f64, QualityError> {
    mse(a, b).map(psnr_of_mse)
}

/// Returns the peak signal-to-noise ratio for a mean squared error in squared 8-bit levels: `10 · log10(255²
/// / MSE)` dB (ITU-T J.340). Infinity for an error of 0, NaN for a negative one.
#[must_use]
pub fn psnr_of_mse(mse_in_squared_levels: f64) -> f64 {
    if mse_in_squared_levels == 0.0 {
        // A division by −0 would change the sign.
        return f64::INFINITY;
    }
    10.0 * (PEAK * PEAK / mse_in_squared_levels).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};
    use proptest::prelude::*;

    fn grey(level: u8) -> DynamicImage {
        DynamicImage::ImageLuma8(GrayImage::from_pixel(7, 5, Luma([level])))
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn a_constant_difference_has_a_known_psnr() {
        assert_close(mse(&grey(100), &grey(105)).unwrap(), 25.0);
        assert_close(psnr(&grey(105), &grey(100)).unwrap(), 20.0 * 51_f64.log10());
        assert_close(psnr_of_mse(65.025), 30.0);
        assert_close(psnr(&grey(0), &grey(255)).unwrap(), 0.0);
    }

    #[test]
    fn equal_images_have_an_infinite_psnr() {
        assert_close(mse(&grey(3), &grey(3)).unwrap(), 0.0);
        for value in [psnr(&grey(3), &grey(3)).unwrap(), psnr_of_mse(-0.0)] {
            assert!(value.is_infinite() && value.is_sign_positive(), "{value}");
        }
        assert!(psnr_of_mse(-1.0).is_nan());
    }

    #[test]
    fn rgb_has_one_error_over_all_channels() {
        let a = DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 4, Rgb([10, 20, 30])));
        let b = DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 4, Rgb([10, 23, 30])));
        assert_close(mse(&a, &b).unwrap(), 3.0);
    }

    #[test]
    fn a_mismatch_names_both_shapes() {
        let error = psnr(&grey(0), &DynamicImage::new_luma8(5, 7)).unwrap_err().to_string();
        assert!(error.contains("7×5 grey and 5×7 grey"), "{error}");
        let error = psnr(&grey(0), &DynamicImage::new_rgb8(7, 5)).unwrap_err().to_string();
        assert!(error.contains("7×5 grey and 7×5 RGB"), "{error}");
    }

    proptest! {
        #[test]
        fn psnr_is_symmetric_and_never_negative(pixels in proptest::collection::vec(any::<(u8, u8)>(), 1..60)) {
            let (a, b): (Vec<u8>, Vec<u8>) = pixels.into_iter().unzip();
            let image = |samples: Vec<u8>| {
                DynamicImage::ImageLuma8(GrayImage::from_raw(samples.len() as u32, 1, samples).unwrap())
            };
            let (a, b) = (image(a), image(b));
            let forward = psnr(&a, &b).unwrap();
            prop_assert!(forward.total_cmp(&psnr(&b, &a).unwrap()).is_eq());
            prop_assert!(forward >= 0.0);
        }
    }
}
