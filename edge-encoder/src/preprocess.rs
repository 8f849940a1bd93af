use image::{DynamicImage, imageops::FilterType};
use lopside_bundle::{Channels, Preprocess};

/// The 8-bit picture that the encoder sees: in the bundle's channels, resized to exactly its size (triangle
/// filter). A picture that has them already is not touched. An alpha channel is dropped.
#[must_use]
pub fn picture_of(picture: &DynamicImage, preprocess: &Preprocess) -> DynamicImage {
    let coloured: DynamicImage = match preprocess.channels {
        Channels::Grey => picture.to_luma8().into(),
        Channels::Rgb => picture.to_rgb8().into(),
    };
    if (coloured.width(), coloured.height()) == (preprocess.width, preprocess.height) {
        return coloured;
    }
    coloured.resize_exact(preprocess.width, preprocess.height, FilterType::Triangle)
}

/// The encoder's input of a picture from [`picture_of`]: planes one after the other, rows top to bottom, samples
/// mapped from 0…255 to the bundle's `low…high`.
#[must_use]
pub fn samples_of(picture: &DynamicImage, preprocess: &Preprocess) -> Vec<f32> {
    let span = preprocess.high - preprocess.low;
    let bytes = picture.as_bytes();
    let channels = preprocess.channels.count() as usize;
    let plane = |channel: usize| bytes.iter().skip(channel).step_by(channels);
    (0..channels).flat_map(plane).map(|&sample| preprocess.low + span * (f32::from(sample) / 255.0)).collect()
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    fn preprocess(channels: Channels) -> Preprocess {
        Preprocess { width: 2, height: 1, channels, low: -1.0, high: 1.0 }
    }

    #[test]
    fn planes_come_one_after_the_other_in_the_bundles_range() {
        let mut picture = RgbImage::new(2, 1);
        picture.put_pixel(0, 0, Rgb([0, 255, 0]));
        picture.put_pixel(1, 0, Rgb([255, 0, 255]));
        let samples = samples_of(&picture.into(), &preprocess(Channels::Rgb));
        assert_eq!(samples, [-1.0, 1.0, 1.0, -1.0, -1.0, 1.0]);
    }

    #[test]
    fn any_picture_becomes_the_wanted_size_and_channels() {
        let picture = DynamicImage::from(RgbImage::from_pixel(7, 5, Rgb([200, 200, 200])));
        let grey = picture_of(&picture, &preprocess(Channels::Grey));
        assert_eq!(grey, DynamicImage::from(GrayImage::from_pixel(2, 1, Luma([200]))));
        let rgb = picture_of(&grey, &preprocess(Channels::Rgb));
        assert_eq!(rgb, DynamicImage::from(RgbImage::from_pixel(2, 1, Rgb([200, 200, 200]))));
    }
}
