use image::{DynamicImage, GrayImage, RgbImage, imageops::FilterType};
use lopside_bundle::{Channels, ImageSpec};

/// Converts an image to the 8-bit image that a model reads: in the channels of the specification, resized to
/// exactly its size (triangle filter). An image that already matches is returned unchanged. An alpha channel
/// is dropped.
#[must_use]
pub fn to_model_image(image: &DynamicImage, spec: &ImageSpec) -> DynamicImage {
    let converted: DynamicImage = match spec.channels {
        Channels::Grey => image.to_luma8().into(),
        Channels::Rgb => image.to_rgb8().into(),
    };
    if (converted.width(), converted.height()) == (spec.width, spec.height) {
        return converted;
    }
    converted.resize_exact(spec.width, spec.height, FilterType::Triangle)
}

/// Returns the tensor of an image from [`to_model_image`]: one plane after the other, rows from top to bottom,
/// samples mapped from 0…255 to their channel's `low…high`.
#[must_use]
pub fn image_samples(image: &DynamicImage, spec: &ImageSpec) -> Vec<f32> {
    let bytes = image.as_bytes();
    let planes = spec.low.iter().zip(&spec.high).enumerate().flat_map(|(channel, (&low, &high))| {
        let span = high - low;
        let samples = bytes.iter().skip(channel).step_by(spec.channels.count() as usize);
        samples.map(move |&sample| low + span * (f32::from(sample) / 255.0))
    });
    planes.collect()
}

/// Returns the 8-bit image of a tensor: samples in their channel's `low…high` are mapped to 0…255, rounded to
/// nearest and clamped. Returns `None` if the number of values differs from the number of samples in the
/// image.
#[must_use]
pub fn image_from_samples(values: &[f32], spec: &ImageSpec) -> Option<DynamicImage> {
    if values.len() as u64 != spec.samples() {
        return None;
    }
    let pixels = spec.width as usize * spec.height as usize;
    let channels = spec.channels.count() as usize;
    let samples = (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| (pixel, channel)));
    let bytes = samples.map(|(pixel, channel)| {
        let (low, high) = (spec.low[channel], spec.high[channel]);
        // A cast from float to u8 saturates, so values outside the range are clamped.
        ((values[channel * pixels + pixel] - low) * (255.0 / (high - low))).round() as u8
    });
    let bytes = bytes.collect();
    match spec.channels {
        Channels::Grey => GrayImage::from_raw(spec.width, spec.height, bytes).map(Into::into),
        Channels::Rgb => RgbImage::from_raw(spec.width, spec.height, bytes).map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};

    use super::*;

    fn spec(channels: Channels) -> ImageSpec {
        ImageSpec::with_uniform_range(2, 1, channels, -1.0, 1.0)
    }

    #[test]
    fn planes_are_consecutive_and_have_their_own_ranges() {
        let mut image = RgbImage::new(2, 1);
        image.put_pixel(0, 0, Rgb([0, 255, 0]));
        image.put_pixel(1, 0, Rgb([255, 0, 255]));
        let mut spec = spec(Channels::Rgb);
        (spec.low[2], spec.high[2]) = (0.0, 10.0);
        let samples = image_samples(&image.clone().into(), &spec);
        assert_eq!(samples, [-1.0, 1.0, 1.0, -1.0, 0.0, 10.0]);
        assert_eq!(image_from_samples(&samples, &spec), Some(image.into()));
    }

    #[test]
    fn any_image_is_converted_to_the_size_and_the_channels() {
        let image = DynamicImage::from(RgbImage::from_pixel(7, 5, Rgb([200, 200, 200])));
        let grey = to_model_image(&image, &spec(Channels::Grey));
        assert_eq!(grey, DynamicImage::from(GrayImage::from_pixel(2, 1, Luma([200]))));
        let rgb = to_model_image(&grey, &spec(Channels::Rgb));
        assert_eq!(rgb, DynamicImage::from(RgbImage::from_pixel(2, 1, Rgb([200, 200, 200]))));
    }

    #[test]
    fn samples_are_rounded_and_clamped() {
        let image = image_from_samples(&[-1.0, 1.0, 0.0, 2.0, -3.0, 0.002], &spec(Channels::Rgb)).unwrap();
        assert_eq!(image.as_bytes(), [0, 128, 0, 255, 255, 128]);
        assert_eq!(image_from_samples(&[0.0; 5], &spec(Channels::Rgb)), None);
    }
}
