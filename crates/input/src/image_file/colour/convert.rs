use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA};
use moxcms::{CmsError, ColorProfile, Layout, TransformExecutor, TransformOptions};

use super::{
    super::{ImageNotes, ImageWarning},
    profile::ColourSpace,
};

/// The steps of the grid at which a profile is compared with sRGB.
const GRID: [u8; 8] = [0, 16, 48, 96, 128, 176, 224, 255];

/// Number of samples that are converted at once; a multiple of three and four.
const PART_SAMPLES: usize = 3072;

/// Converts an image to sRGB, with its alpha channel and its depth. An image in a space that differs from sRGB by
/// rounding alone is returned as it is; so is one in a space that is not understood, which is noted.
pub(in super::super) fn to_srgb(
    image: DynamicImage,
    space: &ColourSpace,
    notes: &mut ImageNotes,
) -> DynamicImage {
    let Some(profile) = space.profile(notes) else { return image };
    let (image, result) = match is_srgb(&profile) {
        Ok(true) => return image,
        Ok(false) => convert(image, &profile),
        Err(error) => (image, Err(error)),
    };
    if let Err(error) = result {
        notes.warn(ImageWarning::ColourProfileIgnored { reason: error.to_string() });
    }
    image
}

fn is_srgb(profile: &ColorProfile) -> Result<bool, CmsError> {
    let colours = GRID.into_iter().flat_map(|red| {
        GRID.into_iter().flat_map(move |green| GRID.into_iter().flat_map(move |blue| [red, green, blue]))
    });
    let before: Vec<u8> = colours.collect();
    let mut after = vec![0; before.len()];
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options)?;
    transform.transform(&before, &mut after)?;
    Ok(before.iter().zip(&after).all(|(before, after)| before.abs_diff(*after) <= 1))
}

/// Converts the samples. Grey stays grey: a profile for colours does not change what is neutral.
fn convert(image: DynamicImage, profile: &ColorProfile) -> (DynamicImage, Result<(), CmsError>) {
    let colour = image.color();
    let is_deep = colour.bytes_per_pixel() > colour.channel_count();
    let (converted, result) = match (is_deep, colour.has_alpha()) {
        (false, false) => {
            let mut image = image.into_rgb8();
            let result = convert_8_bits(&mut image, Layout::Rgb, profile);
            (image.into(), result)
        }
        (false, true) => {
            let mut image = image.into_rgba8();
            let result = convert_8_bits(&mut image, Layout::Rgba, profile);
            (image.into(), result)
        }
        (true, false) => {
            let mut image = image.into_rgb16();
            let result = convert_16_bits(&mut image, Layout::Rgb, profile);
            (image.into(), result)
        }
        (true, true) => {
            let mut image = image.into_rgba16();
            let result = convert_16_bits(&mut image, Layout::Rgba, profile);
            (image.into(), result)
        }
    };
    (if colour.has_color() { converted } else { green_as_grey(converted) }, result)
}

fn convert_8_bits(samples: &mut [u8], layout: Layout, profile: &ColorProfile) -> Result<(), CmsError> {
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = profile.create_transform_8bit(layout, &srgb, layout, options)?;
    convert_parts(samples, transform.as_ref())
}

fn convert_16_bits(samples: &mut [u16], layout: Layout, profile: &ColorProfile) -> Result<(), CmsError> {
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = profile.create_transform_16bit(layout, &srgb, layout, options)?;
    convert_parts(samples, transform.as_ref())
}

/// Converts samples in place, part by part, because a second image would double the memory.
fn convert_parts<T: Copy + Default>(
    samples: &mut [T],
    transform: &(dyn TransformExecutor<T> + Send + Sync),
) -> Result<(), CmsError> {
    let mut before = [T::default(); PART_SAMPLES];
    for part in samples.chunks_mut(PART_SAMPLES) {
        let before = &mut before[..part.len()];
        before.copy_from_slice(part);
        transform.transform(before, part)?;
    }
    Ok(())
}

/// Returns the grey image of a neutral one. A weighted sum of equal colours could differ by one.
fn green_as_grey(image: DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    match image {
        DynamicImage::ImageRgb8(image) => {
            GrayImage::from_fn(width, height, |x, y| Luma([image.get_pixel(x, y)[1]])).into()
        }
        DynamicImage::ImageRgba8(image) => GrayAlphaImage::from_fn(width, height, |x, y| {
            let pixel = image.get_pixel(x, y);
            LumaA([pixel[1], pixel[3]])
        })
        .into(),
        DynamicImage::ImageRgb16(image) => {
            ImageBuffer::from_fn(width, height, |x, y| Luma([image.get_pixel(x, y)[1]])).into()
        }
        DynamicImage::ImageRgba16(image) => ImageBuffer::from_fn(width, height, |x, y| {
            let pixel = image.get_pixel(x, y);
            LumaA([pixel[1], pixel[3]])
        })
        .into(),
        other => other,
    }
}
