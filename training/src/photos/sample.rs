//! Draws the batch of a step from the tiles.
//!
//! All randomness of a training batch comes from a generator that is seeded with the seed and the step.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    Crop, PhotoBatch, TileSet, TileSubset,
    batch::{ORIENTATIONS, TileView},
    image_file::TILE_SIDE,
};

/// Parameters that determine the training batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSampling {
    /// Seed of the random choices.
    pub seed: u64,
    /// Images per batch; 0 counts as 1.
    pub batch_size: usize,
    /// Side of the images.
    pub crop: Crop,
}

impl BatchSampling {
    /// Draws the training batch of a step: tiles chosen uniformly with replacement, each cropped and oriented
    /// at random.
    #[must_use]
    pub(super) fn draw_batch(self, tiles: &TileSet, step: usize) -> PhotoBatch {
        let mut rng = seeded_generator(self.seed, step);
        let margin = TILE_SIDE - self.crop.side();
        let views = (0..self.batch_size.max(1)).map(|_| {
            let tile = tiles.tile(TileSubset::Train, rng.random_range(0..tiles.len(TileSubset::Train)));
            let (x, y) = (rng.random_range(0..=margin), rng.random_range(0..=margin));
            (tile, TileView { x, y, orientation: rng.random_range(0..ORIENTATIONS) })
        });
        PhotoBatch::from_views(step, self.crop, views)
    }
}

/// Returns a generator whose key is seed and step side by side, so that no two pairs share a generator.
fn seeded_generator(seed: u64, step: usize) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(step as u64).to_le_bytes());
    StdRng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn samples_range_from_minus_to_plus_a_half() {
        let tiles = TileSet::with_flat_tiles(&[0, 255], &[]);
        let sampling = BatchSampling { seed: 1, batch_size: 64, crop: Crop::new(16).unwrap() };
        let batch = sampling.draw_batch(&tiles, 0);
        let values: HashSet<u32> = batch.samples.iter().map(|sample| sample.to_bits()).collect();
        assert_eq!(values, HashSet::from([(-0.5_f32).to_bits(), 0.5_f32.to_bits()]));
        assert_eq!(batch.shape, [64, 3, 16, 16]);
        assert_eq!(batch.samples.len(), 64 * 3 * 16 * 16);
    }

    #[test]
    fn seed_and_step_determine_the_batch() {
        let values: Vec<u8> = (0..50).collect();
        let tiles = TileSet::with_flat_tiles(&values, &[]);
        let sampling = BatchSampling { seed: 7, batch_size: 8, crop: Crop::new(16).unwrap() };
        let batch = sampling.draw_batch(&tiles, 3);
        assert_eq!(batch, sampling.draw_batch(&tiles, 3));
        assert_ne!(batch.samples, sampling.draw_batch(&tiles, 4).samples);
        assert_ne!(batch.samples, BatchSampling { seed: 8, ..sampling }.draw_batch(&tiles, 3).samples);
    }
}
