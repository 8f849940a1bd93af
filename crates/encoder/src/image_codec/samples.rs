use std::ops::Range;

use image::DynamicImage;
use lopside_bundle::image_codec::ImageCodecInput;

/// Samples of an image as the encoder's input: three planes (identical for grey), mapped from 0…255 to the
/// bundle's `low…high`, and extended by mirroring.
#[derive(Debug)]
pub(super) struct MirroredSamples<'a> {
    bytes: &'a [u8],
    /// Bytes per pixel, 1 or 3.
    channels: usize,
    width: usize,
    height: usize,
    /// Rows of the image extended to the alignment, without `reach`.
    aligned_height: usize,
    reach: usize,
    /// For each column of the input, the byte offset of its pixel within a row of the image.
    columns: Vec<usize>,
    /// The input value of each sample value.
    values: [f32; 256],
}

impl<'a> MirroredSamples<'a> {
    /// Prepares an image from [`to_eight_bit`](super::to_eight_bit) with at least one pixel, extended to multiples of
    /// `alignment` in both directions.
    pub(super) fn new(image: &'a DynamicImage, input: &ImageCodecInput, alignment: usize) -> Self {
        let channels = usize::from(image.color().channel_count());
        let [width, height] = [image.width() as usize, image.height() as usize];
        let aligned_width = width.next_multiple_of(alignment);
        let reach = input.reach as usize;
        let span = input.high - input.low;
        Self {
            bytes: image.as_bytes(),
            channels,
            width,
            height,
            aligned_height: height.next_multiple_of(alignment),
            reach,
            columns: (0..aligned_width + 2 * reach)
                .map(|x| channels * mirrored_index(x, aligned_width, width, reach))
                .collect(),
            values: std::array::from_fn(|sample| input.low + span * (sample as f32 / 255.0)),
        }
    }

    /// Writes rows of the input (row 0 is `reach` rows above the image) into `out`, `[3, rows, columns]`.
    pub(super) fn fill(&self, rows: Range<usize>, out: &mut [f32]) {
        let columns = self.columns.len();
        let plane = rows.len() * columns;
        for (row, y) in rows.enumerate() {
            let start =
                mirrored_index(y, self.aligned_height, self.height, self.reach) * self.width * self.channels;
            let bytes = &self.bytes[start..start + self.width * self.channels];
            for channel in 0..3 {
                let offset = channel % self.channels;
                let out = &mut out[channel * plane + row * columns..][..columns];
                for (value, &column) in out.iter_mut().zip(&self.columns) {
                    *value = self.values[usize::from(bytes[column + offset])];
                }
            }
        }
    }
}

/// Returns the row or column of the image at `index` of the input: mirrored at the aligned border, as the
/// models assume, then at the border of the image.
fn mirrored_index(index: usize, aligned: usize, side: usize, reach: usize) -> usize {
    mirror_index(mirror_index(index as isize - reach as isize, aligned) as isize, side)
}

/// Returns the position in `0..side` that mirroring maps `index` to, with border samples repeated.
fn mirror_index(index: isize, side: usize) -> usize {
    let index = index.rem_euclid(2 * side as isize) as usize;
    index.min(2 * side - 1 - index)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    const INPUT: ImageCodecInput = ImageCodecInput { low: 0.0, high: 255.0, reach: 2 };

    fn filled(image: &DynamicImage, rows: Range<usize>, alignment: usize) -> Vec<f32> {
        let samples = MirroredSamples::new(image, &INPUT, alignment);
        let mut out = vec![-1.0; 3 * rows.len() * samples.columns.len()];
        samples.fill(rows, &mut out);
        out
    }

    #[test]
    fn the_image_is_extended_by_mirroring() {
        let image = GrayImage::from_fn(3, 1, |x, _| Luma([10 + x as u8])).into();
        let row = [11.0, 10.0, 10.0, 11.0, 12.0, 12.0, 12.0, 12.0];
        assert_eq!(filled(&image, 0..1, 4), [row; 3].concat());
        let dot = GrayImage::from_pixel(1, 1, Luma([7])).into();
        assert_eq!(filled(&dot, 0..8, 4), [7.0; 3 * 8 * 8]);
    }

    #[test]
    fn colours_become_planes() {
        let image = RgbImage::from_fn(1, 2, |_, y| Rgb([1, 2, 3].map(|c| c + 10 * y as u8))).into();
        let rows = filled(&image, 2..4, 1);
        let planes = [1, 11, 2, 12, 3, 13].map(|value| [f32::from(value as u8); 5]);
        assert_eq!(rows, planes.concat());
    }
}
