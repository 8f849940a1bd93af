//! The image that is put together from the tiles of a head's output.

use image::{DynamicImage, GrayImage, RgbImage};

use super::raster::Raster;
use crate::{DecodeError, OutputValue, png};

/// The samples of an image.
#[derive(Debug)]
pub(super) struct Canvas {
    /// Height and width in pixels.
    size: [usize; 2],
    /// The values that correspond to the samples 0 and 255.
    range: [f32; 2],
    samples: Samples,
}

/// The format of the samples of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanvasFormat {
    /// 8 bits: the mean of the three colours.
    Grey,
    /// 8 bits per colour, pixel by pixel.
    Colour,
    /// The values of the head without conversion, plane by plane.
    Values,
    /// The mean of the head's three planes without conversion, once per plane.
    GreyValues,
}

#[derive(Debug)]
enum Samples {
    Grey(Vec<u8>),
    Colour(Vec<u8>),
    Values(Vec<f32>),
    /// One plane, which stands for all three.
    GreyValues(Vec<f32>),
}

impl CanvasFormat {
    /// Returns the format of an 8-bit image.
    pub(super) fn of_image(is_grey: bool) -> Self {
        if is_grey { Self::Grey } else { Self::Colour }
    }

    /// Returns the format of a tensor.
    pub(super) fn of_tensor(is_grey: bool) -> Self {
        if is_grey { Self::GreyValues } else { Self::Values }
    }
}

impl Canvas {
    /// Creates an empty image of this height and width. `range` are the values that correspond to the samples 0 and 255.
    pub(super) fn new(size: [usize; 2], range: [f32; 2], format: CanvasFormat) -> Self {
        let pixels = size[0] * size[1];
        let samples = match format {
            CanvasFormat::Grey => Samples::Grey(vec![0; pixels]),
            CanvasFormat::Colour => Samples::Colour(vec![0; 3 * pixels]),
            CanvasFormat::Values => Samples::Values(vec![0.0; 3 * pixels]),
            CanvasFormat::GreyValues => Samples::GreyValues(vec![0.0; pixels]),
        };
        Self { size, range, samples }
    }

    /// Writes a part of the image, whose first sample is at this row and column. Values are rounded to the nearest
    /// sample and clamped.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] if the part is larger than the raster, or reaches beyond the image.
    pub(super) fn paste(&mut self, [top, left]: [usize; 2], raster: Raster<'_>) -> Result<(), DecodeError> {
        let ([height, width], [rows, columns]) = (self.size, raster.size);
        if top + rows > height || left + columns > width {
            return Err(DecodeError::Internal("a tile reaches beyond its image".into()));
        }
        let converter = SampleConverter::new(self.range);
        for (number, row) in raster.rows()?.enumerate() {
            let first = (top + number) * width + left;
            match &mut self.samples {
                Samples::Grey(samples) => converter.write_grey(row, &mut samples[first..][..columns]),
                Samples::Colour(samples) => {
                    converter.write_colour(row, &mut samples[3 * first..][..3 * columns]);
                }
                Samples::Values(values) => {
                    for (colour, plane) in row.into_iter().enumerate() {
                        values[colour * height * width + first..][..columns].copy_from_slice(plane);
                    }
                }
                Samples::GreyValues(values) => {
                    let means = values[first..][..columns].iter_mut().zip(means_of(row));
                    means.for_each(|(value, mean)| *value = mean);
                }
            }
        }
        Ok(())
    }

    /// Returns the image: PNG for 8-bit samples, otherwise the tensor `[3, height, width]`.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] if the PNG file cannot be encoded.
    pub(super) fn into_output(self) -> Result<OutputValue, DecodeError> {
        let values = match self.samples {
            Samples::Values(values) => values,
            Samples::GreyValues(plane) => plane.repeat(3),
            Samples::Grey(_) | Samples::Colour(_) => {
                return Ok(OutputValue::Png(png::encode_png(&self.into_image()?)?));
            }
        };
        let [height, width] = self.size.map(|side| side as u32);
        Ok(OutputValue::Tensor { shape: vec![3, height, width], values })
    }

    /// Returns the image of 8-bit samples.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] for an image of other values.
    pub(super) fn into_image(self) -> Result<DynamicImage, DecodeError> {
        let [height, width] = self.size.map(|side| side as u32);
        let image = match self.samples {
            Samples::Grey(samples) => GrayImage::from_raw(width, height, samples).map(DynamicImage::from),
            Samples::Colour(samples) => RgbImage::from_raw(width, height, samples).map(DynamicImage::from),
            Samples::Values(_) | Samples::GreyValues(_) => None,
        };
        image.ok_or_else(|| DecodeError::Internal("the samples of an image are not bytes".into()))
    }
}

/// Converts values to 8 bits.
#[derive(Debug, Clone, Copy)]
struct SampleConverter {
    low: f32,
    scale: f32,
}

impl SampleConverter {
    fn new([low, high]: [f32; 2]) -> Self {
        Self { low, scale: 255.0 / (high - low) }
    }

    fn convert(self, value: f32) -> u8 {
        // A cast from float to u8 saturates, which clamps values outside the range.
        ((value - self.low) * self.scale).round() as u8
    }

    fn write_grey(self, row: [&[f32]; 3], samples: &mut [u8]) {
        for (sample, mean) in samples.iter_mut().zip(means_of(row)) {
            *sample = self.convert(mean);
        }
    }

    fn write_colour(self, [red, green, blue]: [&[f32]; 3], samples: &mut [u8]) {
        let pixels = samples.as_chunks_mut::<3>().0.iter_mut();
        for (((pixel, r), g), b) in pixels.zip(red).zip(green).zip(blue) {
            *pixel = [*r, *g, *b].map(|value| self.convert(value));
        }
    }
}

/// Returns the mean of the three colours, pixel by pixel.
fn means_of([red, green, blue]: [&[f32]; 3]) -> impl Iterator<Item = f32> {
    red.iter().zip(green).zip(blue).map(|((r, g), b)| (r + g + b) / 3.0)
}

#[cfg(test)]
mod tests {
    use image::ColorType;

    use super::*;

    const RANGE: [f32; 2] = [-1.0, 1.0];

    /// Returns planes of 2 rows of 3 samples with an image of 1 × 2 pixels.
    fn planes(red: [f32; 2], green: [f32; 2], blue: [f32; 2]) -> Vec<f32> {
        [red, green, blue].iter().flat_map(|plane| [plane[0], plane[1], 9.0, 9.0, 9.0, 9.0]).collect()
    }

    fn raster(values: &[f32]) -> Raster<'_> {
        Raster { values, pitch: 3, origin: [0, 0], size: [1, 2] }
    }

    fn canvas(format: CanvasFormat, values: &[f32]) -> Canvas {
        let mut canvas = Canvas::new([1, 2], RANGE, format);
        canvas.paste([0, 0], raster(values)).unwrap();
        canvas
    }

    #[test]
    fn samples_are_cropped_rounded_and_clamped() {
        let values = planes([-1.0, 1.0], [0.0, 2.0], [-3.0, 0.002]);
        let image = canvas(CanvasFormat::Colour, &values).into_image().unwrap();
        assert_eq!(image.as_bytes(), [0, 128, 0, 255, 255, 128]);
        let shape = vec![3, 1, 2];
        let cropped = vec![-1.0, 1.0, 0.0, 2.0, -3.0, 0.002];
        let output = canvas(CanvasFormat::Values, &values).into_output().unwrap();
        assert_eq!(output, OutputValue::Tensor { shape, values: cropped });
    }

    #[test]
    fn grey_is_the_mean_of_the_three() {
        let values = planes([-1.0, 1.0], [0.0, 0.5], [1.0, 0.3]);
        let image = canvas(CanvasFormat::Grey, &values).into_image().unwrap();
        assert_eq!((image.color(), image.as_bytes()), (ColorType::L8, &[128, 204][..]));
    }

    #[test]
    fn a_grey_tensor_has_three_equal_planes() {
        let values = planes([-1.0, 1.0], [0.0, 0.5], [1.0, 0.0]);
        let output = canvas(CanvasFormat::of_tensor(true), &values).into_output().unwrap();
        let expected = OutputValue::Tensor { shape: vec![3, 1, 2], values: [0.0, 0.5].repeat(3) };
        assert_eq!(output, expected);
    }

    #[test]
    fn tiles_are_put_in_their_places() {
        use CanvasFormat::{Colour, Grey, GreyValues, Values};
        for format in [Grey, Colour, Values, GreyValues] {
            let mut canvas = Canvas::new([2, 3], RANGE, format);
            for (place, value) in [([0, 0], -1.0), ([0, 1], 0.0), ([1, 0], 1.0), ([1, 1], -1.0)] {
                let values = [value; 12];
                let columns = 1 + place[1];
                canvas.paste(place, Raster { size: [1, columns], ..raster(&values) }).unwrap();
            }
            let expected = match format {
                Grey => vec![0, 128, 128, 255, 0, 0],
                _ => [[0; 3], [128; 3], [128; 3], [255; 3], [0; 3], [0; 3]].concat(),
            };
            match canvas.samples {
                Samples::Grey(samples) | Samples::Colour(samples) => assert_eq!(samples, expected),
                Samples::Values(values) => assert_eq!(values, [-1.0, 0.0, 0.0, 1.0, -1.0, -1.0].repeat(3)),
                Samples::GreyValues(values) => assert_eq!(values, [-1.0, 0.0, 0.0, 1.0, -1.0, -1.0]),
            }
        }
    }

    #[test]
    fn a_tile_beyond_the_image_is_an_error() {
        let values = [0.0; 18];
        let mut canvas = Canvas::new([1, 2], RANGE, CanvasFormat::Grey);
        for place in [[1, 0], [0, 1]] {
            assert!(matches!(canvas.paste(place, raster(&values)), Err(DecodeError::Internal(_))));
        }
        assert!(matches!(
            canvas.paste([0, 0], Raster { size: [1, 2], pitch: 1, ..raster(&values) }),
            Err(DecodeError::Internal(_))
        ));
    }
}
