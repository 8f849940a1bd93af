//! From latents to a latent space: quantiser steps and entropy tables.
//!
//! Uniform noise of step Δᵢ in latent value i costs about sᵢ·Δᵢ²/12 in squared error, where sᵢ is how much squared
//! error the decoder makes of one squared unit of change (measured on real latents). At a given rate the sum is
//! smallest when all values cost the same (reverse water-filling; Cover and Thomas, Elements of Information Theory,
//! 10.3.3, at high rate), so Δᵢ = c/√sᵢ, and c is the coarsest-to-finest search that meets the frame budget.

use lopside_latent::{
    IdOnWire, LatentLayer, LatentSpace, LatentSpaceId, MAX_TABLE_SYMBOLS, Quantiser, Shape, Table, Tables,
};

use crate::{TrainingError, engines::OrtModel};

/// Gains are powers of 2^(1/16): a last bit that differs between two machines' floats cannot move one.
const GRID: f64 = 16.0;
/// Where the search for c begins and ends, in powers of 2^(1/16).
const SCALES: std::ops::RangeInclusive<i32> = -12 * 16..=12 * 16;
/// Latents on which the decoder's sensitivity is measured.
const SENSITIVITY_LATENTS: usize = 500;
/// Latents on which a frame's mean size is measured while searching.
const SEARCH_LATENTS: usize = 2000;

/// A quantiser and its tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The quantiser.
    pub quantiser: Quantiser,
    /// The tables, counted over all latents given.
    pub tables: Tables,
    /// The mean frame of the latents given, header and id included, in bytes.
    pub mean_frame_bytes: f64,
}

/// The finest quantiser whose frames have at most `frame_bytes` on average. `latents` are rows of as many values
/// as there are `sensitivities`.
///
/// # Errors
/// [`TrainingError::Budget`] when even the coarsest is too large.
pub fn calibrate(
    latents: &[f32],
    sensitivities: &[f64],
    frame_bytes: f64,
) -> Result<Calibration, TrainingError> {
    let at = |scale: i32, latents: &[f32]| calibration(latents, sensitivities, scale);
    let sample = &latents[..latents.len().min(SEARCH_LATENTS * sensitivities.len())];
    let (mut fits, mut too_large) = (*SCALES.start(), *SCALES.end());
    let coarsest = at(fits, sample)?.mean_frame_bytes;
    if coarsest > frame_bytes {
        return Err(TrainingError::Budget { target: frame_bytes, smallest: coarsest });
    }
    while too_large - fits > 1 {
        let middle = fits + (too_large - fits) / 2;
        if at(middle, sample)?.mean_frame_bytes <= frame_bytes { fits = middle } else { too_large = middle }
    }
    // Tables counted over everything are a little less sharp than those of the sample.
    loop {
        let all = at(fits, latents)?;
        if all.mean_frame_bytes <= frame_bytes || fits == *SCALES.start() {
            return Ok(all);
        }
        fits -= 1;
    }
}

/// How much squared error, summed over the output, the decoder makes of one squared unit of change in each latent
/// value: central differences over a tenth of the value's own spread, averaged over real latents.
pub(crate) fn sensitivities(
    decoder: &mut OrtModel,
    latents: &[f32],
    dims: usize,
) -> Result<Vec<f64>, TrainingError> {
    let count = (latents.len() / dims).min(SENSITIVITY_LATENTS);
    let latents = &latents[..count * dims];
    (0..dims)
        .map(|dim| {
            let delta = 0.1 * spread(latents, dims, dim).max(1e-3);
            let mut moved = |by: f32| {
                let mut latents = latents.to_vec();
                latents.iter_mut().skip(dim).step_by(dims).for_each(|value| *value += by);
                decoder.run(&latents, count)
            };
            let (above, below) = (moved(delta as f32)?, moved(-delta as f32)?);
            let squares: f64 = above.iter().zip(&below).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            // A value that the decoder ignores would get an infinite step.
            Ok((squares / (count as f64 * (2.0 * delta).powi(2))).max(1e-9))
        })
        .collect()
}

/// The standard deviation of one latent value.
fn spread(latents: &[f32], dims: usize, dim: usize) -> f64 {
    let values = || latents.iter().skip(dim).step_by(dims).map(|&value| f64::from(value));
    let count = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

fn calibration(latents: &[f32], sensitivities: &[f64], scale: i32) -> Result<Calibration, TrainingError> {
    let gain = |s: &f64| ((0.5 * s.log2() * GRID + f64::from(scale)).round() / GRID).exp2() as f32;
    let quantiser = Quantiser::new(sensitivities.iter().map(gain).collect())?;
    let dims = sensitivities.len();
    let integers: Vec<Vec<i32>> =
        latents.chunks_exact(dims).map(|z| quantiser.quantise(z)).collect::<Result<_, _>>()?;
    let tables = Tables::new((0..dims).map(|dim| count(&integers, dim)).collect::<Result<_, _>>()?)?;
    let id = LatentSpaceId::new([0; 8]);
    let layer = LatentLayer { shape: Shape::new(&[dims as u32])?, quantiser: quantiser.clone() };
    let space = LatentSpace::new(id, vec![layer], tables)?;
    let mut bytes = 0;
    for integers in integers.iter().take(SEARCH_LATENTS) {
        bytes += space.encode_integers(integers, IdOnWire::Present)?.len();
    }
    Ok(Calibration {
        quantiser,
        tables: space.tables().clone(),
        mean_frame_bytes: bytes as f64 / integers.len().min(SEARCH_LATENTS) as f64,
    })
}

/// The table of one latent value: all integers seen, or the middle ones where that is too many.
fn count(integers: &[Vec<i32>], dim: usize) -> Result<Table, TrainingError> {
    let mut seen: Vec<i32> = integers.iter().map(|row| row[dim]).collect();
    seen.sort_unstable();
    let median = seen[seen.len() / 2];
    let half = MAX_TABLE_SYMBOLS as i32 / 2;
    let low = seen[0].max(median.saturating_sub(half));
    let high = seen[seen.len() - 1].min(median.saturating_add(half - 1));
    let mut counts = vec![0; (high - low + 1) as usize];
    seen.iter()
        .filter(|value| (low..=high).contains(*value))
        .for_each(|value| counts[(value - low) as usize] += 1);
    Ok(Table::from_counts(low, &counts)?)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn latents(count: usize) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(3);
        (0..count * 4).map(|i| (rng.random::<f32>() - 0.5) * (1.0 + (i % 4) as f32)).collect()
    }

    #[test]
    fn the_budget_is_met_and_nearly_used_up() {
        let latents = latents(3000);
        for budget in [20.0, 24.0] {
            let found = calibrate(&latents, &[1.0, 4.0, 1.0, 0.25], budget).unwrap();
            assert!((budget - 1.0..=budget).contains(&found.mean_frame_bytes), "{}", found.mean_frame_bytes);
        }
        assert!(matches!(calibrate(&latents, &[1.0; 4], 3.0), Err(TrainingError::Budget { .. })));
    }

    #[test]
    fn what_the_decoder_feels_more_gets_finer_steps() {
        let found = calibrate(&latents(500), &[1.0, 16.0, 4.0, 1.0], 22.0).unwrap();
        let gains = found.quantiser.gains();
        assert!((gains[1] / gains[0] - 4.0).abs() < 1e-3, "{gains:?}");
        assert!((gains[2] / gains[0] - 2.0).abs() < 1e-3, "{gains:?}");
    }

    #[test]
    fn far_outliers_are_left_to_the_escape() {
        let rows: Vec<Vec<i32>> = (0..100).map(|i| vec![if i == 0 { 1_000_000 } else { i % 3 }]).collect();
        let table = count(&rows, 0).unwrap();
        assert_eq!(table.min(), 0);
        assert!(table.max() < 4096);
    }
}
