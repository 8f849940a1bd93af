//! Multi-scale structural similarity.
//!
//! Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multi-scale structural similarity for image quality assessment",
//! Asilomar Conference on Signals, Systems and Computers, 2003: equation 7, with the exponents of section
//! 3.2. Details that the paper leaves open follow the Python package `pytorch-msssim` 1.0.0, with which
//! learned codecs are commonly measured:
//!
//! - every channel is measured separately, and the result is the mean over the channels;
//! - the window is placed only at positions at which it fits completely, so a plane of w × h has a map of
//!   (w − 10) × (h − 10);
//! - scales are halved by the mean of 2 × 2 samples. A line of zeros is inserted before the first line of
//!   an odd side, so that the first mean is too dark by half;
//! - a negative mean of a scale counts as 0.

use image::DynamicImage;

use crate::{ImageShape, QualityError, image_view::ImageView};

/// Minimum side length for [`ms_ssim`] in pixels: the window's 11 samples at the fifth scale.
pub const MS_SSIM_MIN_SIDE: u32 = (WINDOW_LENGTH as u32) << (SCALES - 1);

const SCALES: usize = 5;
/// The paper's exponents β₁ to β₅ (γ the same, α₅ = β₅), section 3.2, finest scale first.
pub const MS_SSIM_EXPONENTS: [f64; SCALES] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// Side length of the window in samples, followed by its standard deviation.
const WINDOW_LENGTH: usize = 11;
const SIGMA: f32 = 1.5;
/// (K₁ L)² and (K₂ L)² of equation 4, for K₁ = 0.01, K₂ = 0.03 and L = 255.
const C1: f32 = 0.01 * 255.0 * 0.01 * 255.0;
const C2: f32 = 0.03 * 255.0 * 0.03 * 255.0;

/// Returns the multi-scale structural similarity of two images: 0 to 1, and 1 for equal images. The order of
/// the two does not matter. The arithmetic uses `f32`, which retains about six digits.
///
/// # Errors
/// [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an unsupported image, [`QualityError::ShapeMismatch`]
/// when the two images have different sizes or channels, [`QualityError::ImageTooSmall`] when a side is shorter
/// than [`MS_SSIM_MIN_SIDE`].
pub fn ms_ssim(a: &DynamicImage, b: &DynamicImage) -> Result<f64, QualityError> {
    let (a, b) = (ImageView::new(a)?, ImageView::new(b)?);
    a.check_same_shape(&b)?;
    check_size(a.shape)?;
    let window = ms_ssim_window();
    let channels = usize::from(a.shape.channels);
    let similarities = (0..channels).map(|channel| {
        plane_similarity(&window, Plane::from_channel(&a, channel), Plane::from_channel(&b, channel))
    });
    Ok(similarities.sum::<f64>() / channels as f64)
}

/// Converts [`ms_ssim`] to dB, `−10 · log10(1 − x)`, which spreads the values near 1, in which codecs differ:
/// 10 dB for 0.9, 20 dB for 0.99, infinity for 1.
#[must_use]
pub fn ms_ssim_db(ms_ssim: f64) -> f64 {
    -10.0 * (1.0 - ms_ssim).log10()
}

fn check_size(found: ImageShape) -> Result<(), QualityError> {
    let min = MS_SSIM_MIN_SIDE;
    if found.width.min(found.height) >= min {
        Ok(())
    } else {
        Err(QualityError::ImageTooSmall { found, min })
    }
}

fn plane_similarity(window: &[f32; WINDOW_LENGTH], mut a: Plane, mut b: Plane) -> f64 {
    let mut product = 1.0;
    for (scale, exponent) in MS_SSIM_EXPONENTS.into_iter().enumerate() {
        let means = scale_means(window, &a, &b);
        let last = scale == SCALES - 1;
        // Luminance is compared at the coarsest scale only.
        let mean = if last { means.ssim } else { means.contrast_structure };
        product *= mean.max(0.0).powf(exponent);
        if !last {
            (a, b) = (a.halved(), b.halved());
        }
    }
    product
}

/// One channel at one scale, row by row.
struct Plane {
    width: usize,
    height: usize,
    samples: Vec<f32>,
}

impl Plane {
    fn from_channel(view: &ImageView<'_>, channel: usize) -> Self {
        let ImageShape { width, height, channels } = view.shape;
        let samples = view.samples.iter().skip(channel).step_by(usize::from(channels));
        Self {
            width: width as usize,
            height: height as usize,
            samples: samples.map(|&sample| f32::from(sample)).collect(),
        }
    }

    fn row(&self, y: usize) -> &[f32] {
        &self.samples[y * self.width..][..self.width]
    }

    /// Returns the means of 2 × 2 samples; the first line of an odd side is averaged with zeros.
    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let zeros = vec![0.0; self.width];
        let mut samples = Vec::with_capacity(width * height);
        for y in 0..height {
            let below = 2 * y + 1 - self.height % 2;
            let above = if below == 0 { &zeros } else { self.row(below - 1) };
            push_downsampled(&mut samples, above, self.row(below));
        }
        Self { width, height, samples }
    }
}

fn push_downsampled(samples: &mut Vec<f32>, above: &[f32], below: &[f32]) {
    let remainder = above.len() % 2;
    if remainder == 1 {
        samples.push((above[0] + below[0]) / 4.0);
    }
    let pairs = above[remainder..].chunks_exact(2).zip(below[remainder..].chunks_exact(2));
    samples.extend(pairs.map(|(above, below)| (above[0] + above[1] + below[0] + below[1]) / 4.0));
}

/// The means of the two maps of one scale.
struct ScaleMeans {
    contrast_structure: f64,
    ssim: f64,
}

/// Filtered moments of a row of windows: the two means, the sum of the two mean squares (only the sum of the
/// variances is needed) and the mean product.
struct Moments {
    mean_a: Vec<f32>,
    mean_b: Vec<f32>,
    squares: Vec<f32>,
    product: Vec<f32>,
}

impl Moments {
    fn with_width(width: usize) -> Self {
        let row = vec![0.0; width];
        Self { mean_a: row.clone(), mean_b: row.clone(), squares: row.clone(), product: row }
    }

    /// Filters vertically: computes the moments of the windows whose first row is `y`, for every column.
    fn fill_down(&mut self, window: &[f32; WINDOW_LENGTH], a: &Plane, b: &Plane, y: usize) {
        for row in [&mut self.mean_a, &mut self.mean_b, &mut self.squares, &mut self.product] {
            row.fill(0.0);
        }
        for (tap, &weight) in window.iter().enumerate() {
            let sums = self.mean_a.iter_mut().zip(&mut self.mean_b);
            let sums = sums.zip(self.squares.iter_mut().zip(&mut self.product));
            let samples = a.row(y + tap).iter().zip(b.row(y + tap));
            for (((mean_a, mean_b), (squares, product)), (&a, &b)) in sums.zip(samples) {
                *mean_a += weight * a;
                *mean_b += weight * b;
                *squares += weight * (a * a + b * b);
                *product += weight * (a * b);
            }
        }
    }

    /// Filters `source` horizontally.
    fn fill_along(&mut self, window: &[f32; WINDOW_LENGTH], source: &Self) {
        filter_row(window, &source.mean_a, &mut self.mean_a);
        filter_row(window, &source.mean_b, &mut self.mean_b);
        filter_row(window, &source.squares, &mut self.squares);
        filter_row(window, &source.product, &mut self.product);
    }

    /// Returns the sums of the contrast-structure map and of the SSIM map over the row (equations 1 to 3,
    /// with C₃ = C₂ / 2).
    fn sums(&self) -> (f32, f32) {
        let means = self.mean_a.iter().zip(&self.mean_b);
        let moments = means.zip(self.squares.iter().zip(&self.product));
        moments.fold((0.0, 0.0), |sums, ((&mean_a, &mean_b), (&squares, &product))| {
            let (mean_product, mean_squares) = (mean_a * mean_b, mean_a * mean_a + mean_b * mean_b);
            let variances = squares - mean_squares;
            let contrast_structure = (2.0 * (product - mean_product) + C2) / (variances + C2);
            let luminance = (2.0 * mean_product + C1) / (mean_squares + C1);
            (sums.0 + contrast_structure, sums.1 + luminance * contrast_structure)
        })
    }
}

fn scale_means(window: &[f32; WINDOW_LENGTH], a: &Plane, b: &Plane) -> ScaleMeans {
    let (width, height) = (a.width - (WINDOW_LENGTH - 1), a.height - (WINDOW_LENGTH - 1));
    let (mut vertical, mut filtered) = (Moments::with_width(a.width), Moments::with_width(width));
    let mut sums = (0.0, 0.0);
    for y in 0..height {
        vertical.fill_down(window, a, b, y);
        filtered.fill_along(window, &vertical);
        let row = filtered.sums();
        sums = (sums.0 + f64::from(row.0), sums.1 + f64::from(row.1));
    }
    let windows = (width * height) as f64;
    ScaleMeans { contrast_structure: sums.0 / windows, ssim: sums.1 / windows }
}

fn filter_row(window: &[f32; WINDOW_LENGTH], input: &[f32], output: &mut [f32]) {
    output.fill(0.0);
    for (tap, &weight) in window.iter().enumerate() {
        for (sum, sample) in output.iter_mut().zip(&input[tap..]) {
            *sum += weight * sample;
        }
    }
}

/// Returns the window along one side: a Gaussian with a standard deviation of 1.5 samples and the sum 1.
#[must_use]
pub fn ms_ssim_window() -> [f32; WINDOW_LENGTH] {
    let window: [f32; WINDOW_LENGTH] = std::array::from_fn(|tap| {
        let distance = tap as f32 - (WINDOW_LENGTH / 2) as f32;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f32 = window.iter().sum();
    window.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    /// Returns a copy with the error of a coarse quantiser, which also becomes brighter towards the right.
    fn coarse(image: &DynamicImage, step: u8) -> DynamicImage {
        let width = image.width() as usize * usize::from(image.color().channel_count());
        let damage = |(index, &sample): (usize, &u8)| {
            let quantised = sample / step * step + step / 2;
            quantised.saturating_add((16 * (index % width) / width) as u8)
        };
        let samples = image.as_bytes().iter().enumerate().map(damage).collect();
        let (width, height) = (image.width(), image.height());
        match image {
            DynamicImage::ImageLuma8(_) => image::GrayImage::from_raw(width, height, samples).unwrap().into(),
            _ => image::RgbImage::from_raw(width, height, samples).unwrap().into(),
        }
    }

    #[test]
    fn values_agree_with_pytorch_msssim() {
        // pytorch-msssim 1.0.0, torch 2.9.1, float64, data_range 255, on the same samples.
        for (image, step, expected) in [
            (samples::natural_rgb(256, 192), 24, 0.989_329_04),
            (samples::natural_rgb(256, 192), 90, 0.833_507_58),
            (samples::natural_rgb(333, 181), 46, 0.950_710_75),
            (samples::natural_grey(176, 211), 100, 0.805_139_95),
        ] {
            let found = ms_ssim(&image, &coarse(&image, step)).unwrap();
            assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}, step {step}");
        }
    }

    #[test]
    fn equal_images_score_one_and_the_order_does_not_matter() {
        let image = samples::natural_rgb(200, 180);
        assert!((ms_ssim(&image, &image).unwrap() - 1.0).abs() < 1e-6);
        let other = coarse(&image, 60);
        let (forward, backward) = (ms_ssim(&image, &other).unwrap(), ms_ssim(&other, &image).unwrap());
        assert!((forward - backward).abs() < 1e-6 && forward < 0.999, "{forward} and {backward}");
    }

    #[test]
    fn an_inverted_image_has_nothing_in_common() {
        let image = samples::natural_grey(180, 180);
        let mut inverted = image.clone();
        inverted.invert();
        assert!(ms_ssim(&image, &inverted).unwrap() < 1e-9);
    }

    #[test]
    fn decibels_separate_values_near_one() {
        for (value, db) in [(0.0, 0.0), (0.9, 10.0), (0.99, 20.0)] {
            assert!((ms_ssim_db(value) - db).abs() < 1e-9);
        }
        assert!(ms_ssim_db(1.0).is_infinite() && ms_ssim_db(1.0) > 0.0);
    }

    #[test]
    fn odd_sides_get_a_line_of_zeros_in_front() {
        let plane = Plane { width: 3, height: 3, samples: (1..=9).map(|sample| sample as f32).collect() };
        let halved = plane.halved();
        assert_eq!((halved.width, halved.height), (2, 2));
        assert_eq!(halved.samples, [0.25, 1.25, 2.75, 7.0]);
    }

    #[test]
    fn small_and_different_images_are_refused() {
        let small = samples::natural_grey(400, 175);
        let error = ms_ssim(&small, &small).unwrap_err().to_string();
        assert!(error.contains("176 pixels") && error.contains("400×175 grey"), "{error}");
        let (a, b) = (samples::natural_grey(200, 200), samples::natural_rgb(200, 200));
        assert!(matches!(ms_ssim(&a, &b), Err(QualityError::ShapeMismatch { .. })));
    }
}
