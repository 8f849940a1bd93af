//! Images at half their size, for the fast encoder, and how much of an image this removes.

use image::{DynamicImage, GrayImage, RgbImage};

/// The loss of halving is measured in one of this many pairs of rows.
const MEASURED_ROW_PAIR: usize = 4;

/// Halves an image of 8-bit grey or RGB: each sample is the mean of 2×2 samples, with an odd last row or column repeated.
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

/// Returns the mean squared difference between the samples of an image of 8-bit grey or RGB and the means that replace
/// them, in squared 8-bit levels; 0 for an image without a whole block of 2×2 pixels.
#[must_use]
pub(super) fn halving_error(image: &DynamicImage) -> f32 {
    let (samples, width) = (image.as_bytes(), image.width() as usize);
    match image {
        DynamicImage::ImageLuma8(_) => squared_error::<1>(samples, width),
        _ => squared_error::<3>(samples, width),
    }
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

fn squared_error<const CHANNELS: usize>(samples: &[u8], width: usize) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    let row = width * CHANNELS;
    let (mut squares, mut count) = (0_u64, 0_u64);
    for rows in samples.chunks_exact(2 * row).step_by(MEASURED_ROW_PAIR) {
        let (upper, lower) = rows.split_at(row);
        for (upper, lower) in upper.chunks_exact(2 * CHANNELS).zip(lower.chunks_exact(2 * CHANNELS)) {
            for c in 0..CHANNELS {
                squares += block_squares([upper[c], upper[c + CHANNELS], lower[c], lower[c + CHANNELS]]);
            }
            count += CHANNELS as u64;
        }
    }
    // A block has four samples, and the squares are multiplied by 4.
    if count == 0 { 0.0 } else { (squares as f64 / (16 * count) as f64) as f32 }
}

/// Returns four times the sum of the squared differences of four samples from their mean.
fn block_squares(block: [u8; 4]) -> u64 {
    let sum: u32 = block.iter().map(|&sample| u32::from(sample)).sum();
    let squares: u32 = block.iter().map(|&sample| u32::from(sample).pow(2)).sum();
    u64::from(4 * squares - sum * sum)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn grey(width: u32, samples: &[u8]) -> DynamicImage {
        let height = samples.len() as u32 / width;
        DynamicImage::from(GrayImage::from_raw(width, height, samples.to_vec()).unwrap())
    }

    #[test]
    fn halved_images_are_the_means_of_four_samples() {
        let half = halve_image(&grey(3, &[0, 4, 9, 8, 5, 13, 100, 102, 7]));
        assert_eq!((half.width(), half.height()), (2, 2));
        assert_eq!(half.as_bytes(), [4, 11, 101, 7]);
        let colour = RgbImage::from_fn(5, 2, |x, y| Rgb([x as u8, 10 * y as u8, 7]));
        let half = halve_image(&colour.into());
        assert_eq!(half.as_bytes(), [1, 5, 7, 3, 5, 7, 4, 5, 7]);
    }

    #[test]
    fn the_error_is_that_of_the_samples_from_their_means() {
        let close = |found: f32, expected: f32| (found - expected).abs() < 1e-2;
        assert!(close(halving_error(&grey(4, &[1; 16])), 0.0));
        assert!(close(halving_error(&grey(2, &[0, 255, 255, 0])), 127.5 * 127.5));
        // The third column has no partner, and is left out.
        assert!(close(halving_error(&grey(3, &[10, 14, 99, 10, 14, 0])), 4.0));
        // Red is exact, green differs by 5, and blue by 1.
        let colour = RgbImage::from_fn(2, 2, |x, y| Rgb([8, 10 * y as u8, 2 * x as u8]));
        assert!(close(halving_error(&colour.into()), (25.0 + 1.0) / 3.0));
        for narrow in [grey(1, &[1, 200, 3]), grey(3, &[1, 200, 3]), DynamicImage::new_rgb8(0, 4)] {
            assert!(close(halving_error(&narrow), 0.0));
        }
    }
}
