//! Augments samples.

use burn::tensor::{Device, Tensor};
use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;

use super::batch::{TrainingBatch, to_rows};
use crate::{
    definition::{ImageSignal, SeriesSignal, Signal},
    net::Net,
};

/// Probability of erasing a rectangle, and its largest side relative to the image's side.
const ERASE_PROBABILITY: f32 = 0.5;
const MAX_ERASED_SHARE: f32 = 0.4;
/// Standard deviations of the noise added to a time series and of the logarithm of its scale factor.
const NOISE_DEVIATION: f32 = 0.05;
const SCALE_DEVIATION: f32 = 0.1;

/// Strength of the augmentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Augmentation {
    /// Maximum shift of images in pixels, in each direction.
    pub(super) shift: u8,
    /// Whether images may be mirrored.
    pub(super) flip: bool,
    /// Whether a rectangle may be erased from images.
    pub(super) erase: bool,
}

/// Encodes one augmentation of each sample, `[n, values]`.
pub(super) fn encode_augmented(
    net: &Net,
    batch: &TrainingBatch,
    augmentation: Augmentation,
    rng: &mut impl Rng,
    device: &Device,
) -> Tensor<2> {
    let n = batch.labels.len();
    let values = augment_samples(&batch.input, n, &net.blueprint().definition.input, augmentation, rng);
    net.encode(to_rows(&values, n, device)).latent
}

/// Augments `n` samples independently: images are shifted, mirrored and partly erased; time series get noise
/// and a random scale.
fn augment_samples(
    values: &[f32],
    n: usize,
    signal: &Signal,
    augmentation: Augmentation,
    rng: &mut impl Rng,
) -> Vec<f32> {
    let samples = values.chunks(values.len() / n.max(1));
    match signal {
        Signal::Picture(image) => samples
            .flat_map(|sample| AugmentedView::draw(image, augmentation, rng).apply_to(sample, image))
            .collect(),
        Signal::Series(SeriesSignal { .. }) => {
            samples.flat_map(|sample| augment_series(sample, rng)).collect()
        }
    }
}

fn augment_series(sample: &[f32], rng: &mut impl Rng) -> Vec<f32> {
    let scale = (SCALE_DEVIATION * rng.sample::<f32, _>(StandardNormal)).exp();
    let noise = rng.sample_iter::<f32, _>(StandardNormal);
    sample.iter().zip(noise).map(|(value, noise)| value * scale + NOISE_DEVIATION * noise).collect()
}

/// An augmented view of an image.
struct AugmentedView {
    right: i64,
    down: i64,
    mirrored: bool,
    /// Left and top edge of the erased rectangle (inclusive), then right and bottom edge (exclusive).
    erased: [i64; 4],
}

impl AugmentedView {
    fn draw(image: &ImageSignal, augmentation: Augmentation, rng: &mut impl Rng) -> Self {
        let erased = augmentation.erase && rng.random::<f32>() < ERASE_PROBABILITY;
        let shift = i64::from(augmentation.shift);
        let [left, right] = draw_erased_span(image.width, erased, rng);
        let [top, bottom] = draw_erased_span(image.height, erased, rng);
        Self {
            right: rng.random_range(-shift..=shift),
            down: rng.random_range(-shift..=shift),
            mirrored: augmentation.flip && rng.random(),
            erased: [left, top, right, bottom],
        }
    }

    fn apply_to(&self, sample: &[f32], image: &ImageSignal) -> Vec<f32> {
        (0..sample.len()).map(|index| self.augmented_pixel(index, sample, image)).collect()
    }

    fn augmented_pixel(&self, index: usize, sample: &[f32], image: &ImageSignal) -> f32 {
        let (width, height) = (image.width as i64, image.height as i64);
        let (plane, y, x) =
            (index as i64 / (width * height), index as i64 / width % height, index as i64 % width);
        let [left, top, right, bottom] = self.erased;
        let mirrored_x = if self.mirrored { width - 1 - x } else { x };
        let (source_x, source_y) = (mirrored_x - self.right, y - self.down);
        let inside = (0..width).contains(&source_x) && (0..height).contains(&source_y);
        let erased = (left..right).contains(&x) && (top..bottom).contains(&y);
        if inside && !erased {
            sample[((plane * height + source_y) * width + source_x) as usize]
        } else {
            image.low
        }
    }
}

/// Draws the start (inclusive) and the end (exclusive) of an erased rectangle along one side. The span is
/// drawn, but empty, if nothing is erased.
fn draw_erased_span(side: usize, erased: bool, rng: &mut impl Rng) -> [i64; 2] {
    let max_length = ((side as f32 * MAX_ERASED_SHARE) as i64).max(1);
    let (length, start) = (rng.random_range(1..=max_length), rng.random_range(0..side as i64));
    if erased { [start, start + length] } else { [0, 0] }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::definition::Channels;

    fn image_signal() -> ImageSignal {
        ImageSignal { width: 3, height: 2, channels: Channels::Rgb, low: -1.0, high: 1.0 }
    }

    #[test]
    fn an_image_is_shifted_mirrored_and_erased() {
        let sample: Vec<f32> = (0..18).map(|value| value as f32).collect();
        let identity = AugmentedView { right: 0, down: 0, mirrored: false, erased: [0; 4] };
        assert_eq!(identity.apply_to(&sample, &image_signal()), sample);
        let shifted = AugmentedView { right: 1, down: -1, ..identity };
        assert_eq!(shifted.apply_to(&sample, &image_signal())[..6], [-1.0, 3.0, 4.0, -1.0, -1.0, -1.0]);
        let mirrored = AugmentedView { right: 0, down: 0, mirrored: true, ..shifted };
        assert_eq!(mirrored.apply_to(&sample, &image_signal())[6..12], [8.0, 7.0, 6.0, 11.0, 10.0, 9.0]);
        let erased = AugmentedView { mirrored: false, erased: [1, 0, 3, 1], ..mirrored };
        assert_eq!(erased.apply_to(&sample, &image_signal())[..6], [0.0, -1.0, -1.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn views_differ_and_keep_their_size() {
        let mut rng = StdRng::seed_from_u64(4);
        let values: Vec<f32> = (0..36).map(|value| value as f32).collect();
        let signal = Signal::Picture(image_signal());
        let views: Vec<_> = (0..8)
            .map(|_| {
                augment_samples(
                    &values,
                    2,
                    &signal,
                    Augmentation { shift: 2, flip: true, erase: true },
                    &mut rng,
                )
            })
            .collect();
        assert!(views.iter().all(|view| view.len() == 36));
        assert!(views.iter().any(|view| view != &views[0]));
        let series = Signal::Series(SeriesSignal { length: 18, channels: 1 });
        let noisy = augment_samples(
            &values,
            2,
            &series,
            Augmentation { shift: 2, flip: false, erase: false },
            &mut rng,
        );
        assert!(noisy.len() == 36 && noisy != values);
    }
}
