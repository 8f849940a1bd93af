//! From latents to a latent space: quantiser steps and entropy tables.
//!
//! Uniform noise of step Δᵢ in latent value i costs about sᵢ·Δᵢ²/12 in squared error, where sᵢ is how much squared
//! error the decoder makes of one squared unit of change (measured on real latents). At a given rate the sum is
//! smallest when all values cost the same (reverse water-filling; Cover and Thomas, Elements of Information Theory,
//! 10.3.3, at high rate), so Δᵢ = c/√sᵢ, and c is the coarsest-to-finest search that meets the frame budget.

use lopside_latent::{
    IdOnWire, LatentLayer, LatentSpace, LatentSpaceId, MAX_TABLE_SYMBOLS, Quantiser, Shape, Table, Tables,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    TrainingError,
    engines::{OrtModel, Values},
};

/// Gains are powers of 2^(1/16): a last bit that differs between two machines' floats cannot move one.
const GRID: f64 = 16.0;
/// Where the search for c begins and ends, in powers of 2^(1/16).
const SCALES: std::ops::RangeInclusive<i32> = -12 * 16..=12 * 16;
/// Latents on which the decoder's sensitivity is measured.
const SENSITIVITY_LATENTS: usize = 500;
/// Latents on which a frame's mean size is measured while searching.
const SEARCH_LATENTS: usize = 2000;

/// Latents of one layer over a calibration set.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerLatents {
    /// Rows of `len` values.
    pub values: Vec<f32>,
    /// Values of the layer.
    pub len: usize,
    /// Runs of consecutive values that share a gain and a table; they divide `len`.
    pub runs: usize,
    /// The dimensions of the layer's tensor, the batch left out.
    pub dims: Vec<usize>,
}

/// Gains and tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The gains, a list a layer, one a run.
    pub gains: Vec<Vec<f32>>,
    /// The tables, counted over all latents given.
    pub tables: Tables,
    /// The mean frame of the latents given, header and id included, in bytes.
    pub mean_frame_bytes: f64,
}

/// The finest quantiser whose frames have at most `frame_bytes` on average. There is one sensitivity a run.
///
/// # Errors
/// [`TrainingError::Budget`] when even the coarsest is too large.
pub fn calibrate(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
    frame_bytes: f64,
) -> Result<Calibration, TrainingError> {
    let sample: Vec<LayerLatents> = layers.iter().map(|layer| layer.first(SEARCH_LATENTS)).collect();
    let at = |scale: i32, layers: &[LayerLatents]| calibration(layers, sensitivities, scale);
    let (mut fits, mut too_large) = (*SCALES.start(), *SCALES.end());
    let coarsest = at(fits, &sample)?.mean_frame_bytes;
    if coarsest > frame_bytes {
        return Err(TrainingError::Budget { target: frame_bytes, smallest: coarsest });
    }
    while too_large - fits > 1 {
        let middle = fits + (too_large - fits) / 2;
        if at(middle, &sample)?.mean_frame_bytes <= frame_bytes { fits = middle } else { too_large = middle }
    }
    // Tables counted over everything are a little less sharp than those of the sample.
    loop {
        let all = at(fits, layers)?;
        if all.mean_frame_bytes <= frame_bytes || fits == *SCALES.start() {
            return Ok(all);
        }
        fits -= 1;
    }
}

/// How much squared error, summed over the output, the decoder makes of one squared unit of change in the values of each
/// run: central differences over a tenth of the run's own spread, averaged over real latents. All values of a run move
/// at once, each up or down by chance, so that their effects add as squares.
pub(crate) fn sensitivities(
    decoder: &mut OrtModel,
    layers: &[LayerLatents],
) -> Result<Vec<Vec<f64>>, TrainingError> {
    let layers: Vec<LayerLatents> = layers.iter().map(|layer| layer.first(SENSITIVITY_LATENTS)).collect();
    let mut rng = StdRng::seed_from_u64(0);
    let mut found = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let one = |run| sensitivity(decoder, &layers, (index, run), &mut rng);
        found.push((0..layer.runs).map(one).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

fn sensitivity(
    decoder: &mut OrtModel,
    layers: &[LayerLatents],
    (index, run): (usize, usize),
    rng: &mut StdRng,
) -> Result<f64, TrainingError> {
    let layer = &layers[index];
    let delta = 0.1 * layer.spread(run).max(1e-3);
    let each = layer.len / layer.runs;
    let signs: Vec<f32> = match each {
        1 => vec![1.0; layer.rows()],
        _ => (0..layer.rows() * each).map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect(),
    };
    let mut moved = |by: f32| {
        let mut moved = layers.to_vec();
        for (value, sign) in moved[index].run_mut(run).zip(&signs) {
            *value += by * sign;
        }
        let inputs: Vec<Values> = moved.into_iter().map(LayerLatents::into_values).collect();
        let outputs = decoder.run_batches(&inputs)?;
        Ok::<_, TrainingError>(outputs.into_iter().next().map(|output| output.values).unwrap_or_default())
    };
    let (above, below) = (moved(delta as f32)?, moved(-delta as f32)?);
    let squares: f64 = above.iter().zip(&below).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    // A value that the decoder ignores would get an infinite step.
    Ok((squares / (signs.len() as f64 * (2.0 * delta).powi(2))).max(1e-9))
}

impl LayerLatents {
    /// How many latents.
    fn rows(&self) -> usize {
        self.values.len() / self.len
    }

    /// The first latents, at most so many.
    fn first(&self, rows: usize) -> Self {
        let values = self.values[..self.values.len().min(rows * self.len)].to_vec();
        Self { values, len: self.len, runs: self.runs, dims: self.dims.clone() }
    }

    /// The values of a run, latent after latent.
    fn run(&self, run: usize) -> impl Iterator<Item = f32> {
        let each = self.len / self.runs;
        self.values.chunks_exact(self.len).flat_map(move |row| &row[run * each..][..each]).copied()
    }

    fn run_mut(&mut self, run: usize) -> impl Iterator<Item = &mut f32> {
        let each = self.len / self.runs;
        self.values.chunks_exact_mut(self.len).flat_map(move |row| &mut row[run * each..][..each])
    }

    /// The standard deviation of a run's values.
    fn spread(&self, run: usize) -> f64 {
        let count = self.run(run).count().max(1) as f64;
        let mean = self.run(run).map(f64::from).sum::<f64>() / count;
        (self.run(run).map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    fn into_values(self) -> Values {
        let mut dims = vec![self.rows()];
        dims.extend(&self.dims);
        Values { dims, values: self.values }
    }
}

fn calibration(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
    scale: i32,
) -> Result<Calibration, TrainingError> {
    let gain = |s: &f64| ((0.5 * s.log2() * GRID + f64::from(scale)).round() / GRID).exp2() as f32;
    let gains: Vec<Vec<f32>> =
        sensitivities.iter().map(|of_layer| of_layer.iter().map(gain).collect()).collect();
    let (mut shapes, mut tables, mut integers) = (Vec::new(), Vec::new(), Vec::new());
    for (layer, gains) in layers.iter().zip(&gains) {
        let quantiser = Quantiser::new(gains.clone())?;
        let rows = layer.values.chunks_exact(layer.len).map(|z| quantiser.quantise(z));
        let rows: Vec<Vec<i32>> = rows.collect::<Result<_, _>>()?;
        let each = layer.len / layer.runs;
        for run in 0..layer.runs {
            let seen = rows.iter().flat_map(|row| &row[run * each..][..each]).copied().collect();
            tables.push(count(seen)?);
        }
        shapes.push(LatentLayer { shape: Shape::new(&[layer.len as u32])?, quantiser });
        integers.push(rows);
    }
    let space = LatentSpace::new(LatentSpaceId::new([0; 8]), shapes, Tables::new(tables)?)?;
    let measured = integers[0].len().min(SEARCH_LATENTS);
    let mut bytes = 0;
    for row in 0..measured {
        let latent: Vec<i32> = integers.iter().flat_map(|layer| &layer[row]).copied().collect();
        bytes += space.encode_integers(&latent, IdOnWire::Present)?.len();
    }
    let mean_frame_bytes = bytes as f64 / measured as f64;
    Ok(Calibration { gains, tables: space.tables().clone(), mean_frame_bytes })
}

/// The table of one run: all integers seen, or the middle ones where that is too many.
fn count(mut seen: Vec<i32>) -> Result<Table, TrainingError> {
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
    use super::*;

    fn latents(count: usize) -> Vec<LayerLatents> {
        let mut rng = StdRng::seed_from_u64(3);
        let values = (0..count * 4).map(|i| (rng.random::<f32>() - 0.5) * (1.0 + (i % 4) as f32)).collect();
        vec![LayerLatents { values, len: 4, runs: 4, dims: vec![4] }]
    }

    #[test]
    fn the_budget_is_met_and_nearly_used_up() {
        let latents = latents(3000);
        for budget in [20.0, 24.0] {
            let found = calibrate(&latents, &[vec![1.0, 4.0, 1.0, 0.25]], budget).unwrap();
            assert!((budget - 1.0..=budget).contains(&found.mean_frame_bytes), "{}", found.mean_frame_bytes);
        }
        assert!(matches!(calibrate(&latents, &[vec![1.0; 4]], 3.0), Err(TrainingError::Budget { .. })));
    }

    #[test]
    fn what_the_decoder_feels_more_gets_finer_steps() {
        let found = calibrate(&latents(500), &[vec![1.0, 16.0, 4.0, 1.0]], 22.0).unwrap();
        let gains = &found.gains[0];
        assert!((gains[1] / gains[0] - 4.0).abs() < 1e-3, "{gains:?}");
        assert!((gains[2] / gains[0] - 2.0).abs() < 1e-3, "{gains:?}");
    }

    #[test]
    fn far_outliers_are_left_to_the_escape() {
        let seen = (0..100).map(|i| if i == 0 { 1_000_000 } else { i % 3 }).collect();
        let table = count(seen).unwrap();
        assert_eq!(table.min(), 0);
        assert!(table.max() < 4096);
    }
}
