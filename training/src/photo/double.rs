//! Half the size and twice the size of images as tensors.
//!
//! Halving is the same as for tiles: the mean of every 2×2 pixels. Doubling is cubic convolution (R. Keys,
//! "Cubic convolution interpolation for digital image processing", 1981, eq. 15, a = −1/2: the Catmull–Rom
//! spline) between the centres of pixels, with a replicated border. It is written as a convolution of four
//! phases, so that it is the same in training and in ONNX.

use burn::tensor::{Tensor, TensorData, module::conv2d, ops::ConvOptions, ops::PadMode};

use super::pixel_shuffle::to_pixels;

/// Number of source pixels on every side that a doubled pixel depends on.
pub(crate) const FILTER_REACH: usize = 2;
/// Side of the phases' filters.
const FILTER_SIDE: usize = 2 * FILTER_REACH + 1;
/// Shape of the filters: four phases for each of three colours.
pub(crate) const FILTER_SHAPE: [usize; 4] = [12, 1, FILTER_SIDE, FILTER_SIDE];

/// Halves images `[n, 3, h, w]` with even sides and 8-bit samples of −0.5 to 0.5 to `[n, 3, h/2, w/2]`,
/// rounded to 8 bits.
pub(crate) fn halve_images(image: Tensor<4>) -> Tensor<4> {
    let [n, colours, h, w] = image.dims();
    let blocks = image.reshape([n, colours, h / 2, 2, w / 2, 2]);
    let mean: Tensor<4> = blocks.mean_dim(5).mean_dim(3).reshape([n, colours, h / 2, w / 2]);
    // Halves are rounded up, as in the tiles; the extra 0.001 allows for the errors of float sums.
    ((mean + 0.5) * 255.0 + 0.501).floor() / 255.0 - 0.5
}

/// Doubles images `[n, 3, h, w]` to `[n, 3, 2·h, 2·w]`.
pub(crate) fn double_images(image: Tensor<4>) -> Tensor<4> {
    let weight = Tensor::from_data(TensorData::new(phase_filters(), FILTER_SHAPE), &image.device());
    let padded = image.pad([(FILTER_REACH, FILTER_REACH); 2], PadMode::Edge);
    to_pixels(conv2d(padded, weight, None, ConvOptions::new([1; 2], [0; 2], [1; 2], 3)), 3)
}

/// Returns the filters of all phases, in the shape [`FILTER_SHAPE`].
pub(crate) fn phase_filters() -> Vec<f32> {
    let rows = [phase_weights(-0.25), phase_weights(0.25)];
    let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(down, across)| (rows[down], rows[across]));
    let filters = pairs
        .iter()
        .flat_map(|(down, across)| down.iter().flat_map(|y| across.iter().map(move |x| (y * x) as f32)));
    filters.collect::<Vec<f32>>().repeat(3)
}

/// Returns the weights of the pixels at −2 to 2 for a value at `position` between them.
fn phase_weights(position: f64) -> [f64; FILTER_SIDE] {
    std::array::from_fn(|i| cubic_kernel(position - (i as f64 - FILTER_REACH as f64)))
}

fn cubic_kernel(x: f64) -> f64 {
    let x = x.abs();
    match x {
        0.0..1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        1.0..2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use image::{DynamicImage, Rgb, RgbImage, imageops::FilterType};

    use super::*;

    fn test_image() -> RgbImage {
        RgbImage::from_fn(14, 10, |x, y| Rgb([(x * 17) as u8, (y * 23 + x) as u8, (x * y * 31 % 251) as u8]))
    }

    fn tensor(image: &RgbImage) -> Tensor<4> {
        let (w, h) = (image.width() as usize, image.height() as usize);
        let samples: Vec<f32> =
            image.as_raw().iter().map(|&sample| f32::from(sample) / 255.0 - 0.5).collect();
        Tensor::<4>::from_data(TensorData::new(samples, [1, h, w, 3]), &Device::flex()).permute([0, 3, 1, 2])
    }

    fn levels(x: Tensor<4>) -> Vec<f32> {
        ((x.permute([0, 2, 3, 1]) + 0.5) * 255.0).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn tensor_and_image_halving_agree() {
        let image = test_image();
        let expected = crate::photos::halve_image(&DynamicImage::from(image.clone())).to_rgb8();
        let found = halve_images(tensor(&image));
        assert_eq!(found.dims(), [1, 3, 5, 7]);
        for (found, expected) in levels(found).iter().zip(expected.as_raw()) {
            assert!((found - f32::from(*expected)).abs() < 1e-3, "{found} {expected}");
        }
    }

    #[test]
    fn doubling_is_catmull_rom_away_from_the_border() {
        let image = test_image();
        let expected = image::imageops::resize(&image, 28, 20, FilterType::CatmullRom);
        let found = levels(double_images(tensor(&image)));
        assert_eq!(found.len(), expected.as_raw().len());
        for (i, (found, &expected)) in found.iter().zip(expected.as_raw()).enumerate() {
            let (x, y) = (i / 3 % 28, i / 3 / 28);
            if (4..24).contains(&x) && (4..16).contains(&y) {
                let difference = found.clamp(0.0, 255.0) - f32::from(expected);
                assert!(difference.abs() < 0.6, "({x}, {y}): {found} {expected}");
            }
        }
    }
}
