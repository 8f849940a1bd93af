//! Conversion of images to 8-bit grey or RGB, and recognition of images without colour by their content.
//!
//! A camera stores its infrared images as colour JPEG, and a scanner its text pages. Their frames are marked as grey, so
//! that no output has a tint: a head whose network estimates what rounding removed estimates some colour as well.

use std::borrow::Cow;

use image::{DynamicImage, GrayImage, RgbImage};

/// Largest difference between the three samples of a pixel without colour, in 8-bit levels. It is invisible, and the
/// result of colour planes that are off by one level, as an 8-bit `YCbCr` file of a grey image may have them.
const NEUTRAL_SPREAD: u8 = 3;
/// Number of pixels that are checked at a time.
const CHECKED_PIXELS: usize = 1024;

/// Converts an image to the input type of image codecs: 8-bit grey, or 8-bit RGB if it has colour. Deeper samples are
/// scaled, an alpha channel is dropped, and an RGB image without colour becomes grey: one whose pixels all have three
/// samples that differ by at most 3 levels. An image that is of this type already is not copied.
#[must_use]
pub fn to_eight_bit(image: &DynamicImage) -> Cow<'_, DynamicImage> {
    match image {
        DynamicImage::ImageLuma8(_) => Cow::Borrowed(image),
        DynamicImage::ImageRgb8(rgb) => match neutral_to_grey(rgb) {
            Some(grey) => Cow::Owned(grey.into()),
            None => Cow::Borrowed(image),
        },
        _ if image.color().has_color() => {
            let rgb = image.to_rgb8();
            Cow::Owned(match neutral_to_grey(&rgb) {
                Some(grey) => grey.into(),
                None => rgb.into(),
            })
        }
        _ => Cow::Owned(image.to_luma8().into()),
    }
}

/// Returns the mean of the three colours of an image without colour; `None` for an image with colour.
fn neutral_to_grey(image: &RgbImage) -> Option<GrayImage> {
    let pixels = image.as_raw().as_chunks::<3>().0;
    if !is_neutral(pixels) {
        return None;
    }
    let samples = pixels.iter().map(|pixel| mean_of(*pixel)).collect();
    GrayImage::from_raw(image.width(), image.height(), samples)
}

/// Returns whether no pixel has colour. An image with colour is known after a few pixels.
fn is_neutral(pixels: &[[u8; 3]]) -> bool {
    pixels.chunks(CHECKED_PIXELS).all(|pixels| {
        // Without an early exit the loop compiles to a few vector instructions.
        pixels.iter().fold(0, |widest: u8, pixel| widest.max(spread_of(*pixel))) <= NEUTRAL_SPREAD
    })
}

fn spread_of([red, green, blue]: [u8; 3]) -> u8 {
    red.max(green).max(blue) - red.min(green).min(blue)
}

fn mean_of(pixel: [u8; 3]) -> u8 {
    let sum: u16 = pixel.iter().map(|&sample| u16::from(sample)).sum();
    ((sum + 1) / 3) as u8
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_kinds_of_images_are_converted_once() {
        let colour = DynamicImage::from(RgbImage::from_pixel(1, 1, Rgb([9, 5, 9])));
        assert!(matches!(to_eight_bit(&colour), Cow::Borrowed(_)));
        assert!(matches!(to_eight_bit(&DynamicImage::new_luma8(1, 1)), Cow::Borrowed(_)));
        for (image, channels) in [
            (colour.to_rgba8().into(), 3),
            (colour.to_rgb16().into(), 3),
            (DynamicImage::new_luma_a8(1, 1), 1),
            (DynamicImage::new_luma16(1, 1), 1),
            (DynamicImage::new_rgb8(1, 1), 1),
            (DynamicImage::new_rgba16(1, 1), 1),
        ] {
            assert_eq!(to_eight_bit(&image).color().channel_count(), channels);
        }
    }

    #[test]
    fn one_pixel_with_colour_is_enough() {
        let mut image = RgbImage::from_fn(90, 70, |x, y| Rgb([(x + 2 * y) as u8; 3]));
        assert!(neutral_to_grey(&image).is_some());
        image.put_pixel(89, 69, Rgb([100, 104, 100]));
        assert_eq!(neutral_to_grey(&image), None);
    }

    #[test]
    fn colour_planes_that_are_off_by_one_level_are_no_colour() {
        // The full-range conversion of JPEG (ITU-T T.871), whose planes are neutral at 128.
        let pixel = |luma: f32, blue: f32, red: f32| {
            let rgb = [luma + 1.402 * red, luma - 0.344_14 * blue - 0.714_14 * red, luma + 1.772 * blue];
            rgb.map(|sample| sample.round() as u8)
        };
        for (blue, red) in [(0.0, 0.0), (1.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (0.0, 1.0)] {
            assert!(spread_of(pixel(100.0, blue, red)) <= NEUTRAL_SPREAD, "{blue} {red}");
        }
        assert!(spread_of(pixel(100.0, 3.0, 0.0)) > NEUTRAL_SPREAD);
    }

    proptest! {
        #[test]
        fn grey_is_the_nearest_level_to_the_mean(level: u8, pixel: [u8; 3]) {
            prop_assert_eq!(mean_of([level; 3]), level);
            let mean = pixel.iter().map(|&sample| f64::from(sample)).sum::<f64>() / 3.0;
            prop_assert!((f64::from(mean_of(pixel)) - mean).abs() <= 0.5);
        }
    }
}
