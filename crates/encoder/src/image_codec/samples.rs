use std::{borrow::Cow, ops::Range};

use image::{DynamicImage, GrayImage, RgbImage};
use lopside_bundle::image_codec::ImageCodecInput;

/// Converts an image to the input type of image codecs: 8-bit grey or RGB. Deeper samples are scaled, and an
/// alpha channel is dropped; an image that is 8-bit grey or RGB already is not copied.
#[must_use]
pub fn to_eight_bit(image: &DynamicImage) -> Cow<'_, DynamicImage> {
    match image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => Cow::Borrowed(image),
        _ if image.color().has_color() => Cow::Owned(image.to_rgb8().into()),
        _ => Cow::Owned(image.to_luma8().into()),
    }
}

/// Halves an image from [`to_eight_bit`]: each sample is the mean of 2×2 samples, with an odd last row or column
/// repeated.
#[must_use]
pub(super) fn halve_image(image: &DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    if let DynamicImage::ImageLuma8(grey) = image {
        let samples = halve_samples::<1>(grey.as_raw(), width as usize);
        return GrayImage::from_raw(half_width, half_height, samples).unwrap_or_default().into();
    }
    let samples = halve_samples::<3>(image.as_bytes(), width as usize);
    RgbImage::from_raw(half_width, half_height, samples).unwrap_or_default().into()
}

fn halve_samples<const CHANNELS: usize>(samples: &[u8], width: usize) -> Vec<u8> {
    let (row, half_row) = (width * CHANNELS, width.div_ceil(2) * CHANNELS);
    let mut halved = vec![0; half_row * (samples.len() / row).div_ceil(2)];
    let mut sums = vec![0; row];
    for (out, rows) in halved.chunks_exact_mut(half_row).zip(samples.chunks(2 * row)) {
        let (upper, lower) = rows.split_at(row);
        let lower = if lower.is_empty() { upper } else { lower };
        sums.iter_mut()
            .zip(upper.iter().zip(lower))
            .for_each(|(sum, (&u, &l))| *sum = u16::from(u) + u16::from(l));
        for (out, pair) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(sums.chunks(2 * CHANNELS)) {
            let (left, right) = pair.split_at(CHANNELS);
            let right = if right.is_empty() { left } else { right };
            *out = std::array::from_fn(|c| ((left[c] + right[c] + 2) / 4) as u8);
        }
    }
    halved
}

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
    /// Prepares an image from [`to_eight_bit`] with at least one pixel, extended to multiples of `alignment` in
    /// both directions.
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

    #[test]
    fn halved_images_are_the_means_of_four_samples() {
        let grey = |width, samples: &[u8]| {
            let height = samples.len() as u32 / width;
            DynamicImage::from(GrayImage::from_raw(width, height, samples.to_vec()).unwrap())
        };
        let half = halve_image(&grey(3, &[0, 4, 9, 8, 5, 13, 100, 102, 7]));
        assert_eq!((half.width(), half.height()), (2, 2));
        assert_eq!(half.as_bytes(), [4, 11, 101, 7]);
        let colour = RgbImage::from_fn(5, 2, |x, y| Rgb([x as u8, 10 * y as u8, 7]));
        let half = halve_image(&colour.into());
        assert_eq!(half.as_bytes(), [1, 5, 7, 3, 5, 7, 4, 5, 7]);
    }

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

    #[test]
    fn other_kinds_of_images_are_converted_once() {
        assert!(matches!(to_eight_bit(&DynamicImage::new_rgb8(1, 1)), Cow::Borrowed(_)));
        for (image, channels) in [
            (DynamicImage::new_rgba8(1, 1), 3),
            (DynamicImage::new_rgb16(1, 1), 3),
            (DynamicImage::new_luma_a8(1, 1), 1),
            (DynamicImage::new_luma16(1, 1), 1),
        ] {
            assert_eq!(to_eight_bit(&image).color().channel_count(), channels);
        }
    }
}
