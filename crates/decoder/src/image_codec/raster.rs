//! The image in a head's output: cropping and conversion to 8 bits.

use image::{DynamicImage, GrayImage, RgbImage};

use crate::{DecodeError, OutputValue};

/// Three planes of samples with an image in their upper left corner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raster<'a> {
    /// The samples, `[3, rows, pitch]`.
    pub(crate) values: &'a [f32],
    /// Number of samples per padded row.
    pub(crate) pitch: usize,
    /// Width of the image in pixels.
    pub(crate) width: usize,
    /// Height of the image in pixels.
    pub(crate) height: usize,
    /// The value that corresponds to sample 0.
    pub(crate) low: f32,
    /// The value that corresponds to sample 255.
    pub(crate) high: f32,
}

impl Raster<'_> {
    /// Converts the samples to 8 bits, RGB or the grey mean of the three planes; rounds to nearest and
    /// clamps.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] if the output is smaller than the image.
    pub(crate) fn to_image(self, is_grey: bool) -> Result<DynamicImage, DecodeError> {
        let (low, scale) = (self.low, 255.0 / (self.high - self.low));
        let (width, height) = (self.width as u32, self.height as u32);
        let image = if is_grey {
            let mean = self.pixels().map(|[r, g, b]| convert_sample((r + g + b) / 3.0, low, scale));
            GrayImage::from_raw(width, height, self.collect(1, mean)).map(DynamicImage::from)
        } else {
            let samples =
                self.pixels().flat_map(|pixel| pixel.map(|value| convert_sample(value, low, scale)));
            RgbImage::from_raw(width, height, self.collect(3, samples)).map(DynamicImage::from)
        };
        image.ok_or_else(|| DecodeError::Internal("a head's image has the wrong size".into()))
    }

    /// Returns the samples without conversion, `[3, height, width]`.
    pub(crate) fn to_tensor(self) -> OutputValue {
        let rows = self.planes().into_iter().flat_map(|plane| self.rows(plane));
        let mut values = Vec::with_capacity(3 * self.width * self.height);
        rows.for_each(|row| values.extend_from_slice(row));
        OutputValue::Tensor { shape: vec![3, self.height as u32, self.width as u32], values }
    }

    fn pixels(&self) -> impl Iterator<Item = [f32; 3]> {
        let [red, green, blue] = self.planes().map(|plane| self.rows(plane));
        let rows = red.zip(green).zip(blue);
        rows.flat_map(|((red, green), blue)| {
            red.iter().zip(green).zip(blue).map(|((&red, &green), &blue)| [red, green, blue])
        })
    }

    fn planes(&self) -> [&[f32]; 3] {
        let plane = self.values.len() / 3;
        [0, 1, 2].map(|index| &self.values[index * plane..][..plane])
    }

    /// Returns the rows of the image in one plane, without the padding.
    fn rows<'a>(&self, plane: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let width = self.width;
        plane.chunks_exact(self.pitch).take(self.height).map(move |row| &row[..width])
    }

    fn collect(&self, channels: usize, samples: impl Iterator<Item = u8>) -> Vec<u8> {
        let mut collected = Vec::with_capacity(channels * self.width * self.height);
        collected.extend(samples);
        collected
    }
}

/// Converts a sample to 8 bits, where `low` becomes 0; rounds to nearest and clamps.
fn convert_sample(value: f32, low: f32, scale: f32) -> u8 {
    // A cast from float to u8 saturates, which clamps values outside the range.
    ((value - low) * scale).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates planes of 2 rows of 3 samples with an image of 2 × 1 pixels.
    fn planes(red: [f32; 2], green: [f32; 2], blue: [f32; 2]) -> Vec<f32> {
        [red, green, blue].iter().flat_map(|plane| [plane[0], plane[1], 9.0, 9.0, 9.0, 9.0]).collect()
    }

    fn raster(values: &[f32]) -> Raster<'_> {
        Raster { values, pitch: 3, width: 2, height: 1, low: -1.0, high: 1.0 }
    }

    #[test]
    fn samples_are_cropped_rounded_and_clamped() {
        let values = planes([-1.0, 1.0], [0.0, 2.0], [-3.0, 0.002]);
        let image = raster(&values).to_image(false).unwrap();
        assert_eq!(image.as_bytes(), [0, 128, 0, 255, 255, 128]);
        let shape = vec![3, 1, 2];
        let cropped = vec![-1.0, 1.0, 0.0, 2.0, -3.0, 0.002];
        assert_eq!(raster(&values).to_tensor(), OutputValue::Tensor { shape, values: cropped });
    }

    #[test]
    fn grey_is_the_mean_of_the_three() {
        let values = planes([-1.0, 1.0], [0.0, 0.5], [1.0, 0.3]);
        let image = raster(&values).to_image(true).unwrap();
        assert_eq!((image.color(), image.as_bytes()), (image::ColorType::L8, &[128, 204][..]));
    }
}
