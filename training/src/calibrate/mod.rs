//! Calibrates a latent space: quantiser gains and entropy tables from a set of latents.
//!
//! A latent is a list of layers, and the values of a layer form runs of equal length. Each run has its own
//! quantisation step and its own table: a flat latent has one run per value, feature maps `[c, h, w]` have
//! one run per map ([`run_count`]).
//!
//! Uniform noise of step Δᵣ in a value of run r costs about sᵣ·Δᵣ²/12 in squared error, where the sensitivity
//! sᵣ is the squared error in the decoder's output per squared unit of change in that value
//! ([`measure_sensitivities`]). At a given rate the sum is smallest when all values cost the same (reverse
//! water-filling; Cover and Thomas, Elements of Information Theory, 10.3.3, at high rate). So Δᵣ = c/√sᵣ, and
//! a search finds the smallest c that meets the budget.
//!
//! A table counted over few values overfits: other latents cost more. If a run has fewer than [`MIN_UNSMOOTHED_VALUES`] values,
//! the search counts on four fifths of the latents and measures on the others, and the tables are smoothed
//! ([`table`]).

mod calibration;
mod layer_latents;
mod sensitivity;
mod table;

pub use calibration::Calibration;
pub use layer_latents::{LayerLatents, run_count};

pub(crate) use self::sensitivity::measure_sensitivities;
use self::{
    calibration::{RowSelection, calibrate_scale},
    layer_latents::check_layers,
    table::MIN_UNSMOOTHED_VALUES,
};
use crate::{CalibrationError, TrainingError};

/// Half of the initial search interval for c, in powers of 2^(1/16): twelve octaves to either side.
const HALF_RANGE: i32 = 12 * 16;
/// Maximum extent of the search on either side, in multiples of [`HALF_RANGE`].
const MAX_HALF_RANGES: i32 = 4;
/// Maximum number of latents on which the mean frame size is measured.
const SEARCH_LATENTS: usize = 2000;
/// Maximum number of values in these latents; at least one latent is always used.
const SEARCH_VALUES: usize = 1 << 23;
/// If runs have few values, one latent in this many is held out for measuring.
const HELD_OUT_INTERVAL: usize = 5;

/// Returns the finest quantiser with a mean frame size of at most `frame_bytes`. `sensitivities` has one
/// value per run of every layer.
///
/// # Errors
/// [`CalibrationError::FrameBudget`] when even the coarsest quantiser is too large,
/// [`CalibrationError::InvalidLatents`] for layers that do not fit together.
pub fn calibrate_bytes(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
    frame_bytes: f64,
) -> Result<Calibration, TrainingError> {
    search_scale(layers, sensitivities, |calibration| calibration.mean_frame_bytes, frame_bytes).map_err(
        |error| {
            error.into_training_error(|target, smallest| CalibrationError::FrameBudget { target, smallest })
        },
    )
}

/// Returns the finest quantiser with at most `bits` per value on average, not counting the frame header.
///
/// # Errors
/// As [`calibrate_bytes`], but [`CalibrationError::BitBudget`] when even the coarsest quantiser costs more.
pub fn calibrate_bits(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
    bits: f64,
) -> Result<Calibration, TrainingError> {
    search_scale(layers, sensitivities, |calibration| calibration.bits_per_value, bits).map_err(|error| {
        error.into_training_error(|target, smallest| CalibrationError::BitBudget { target, smallest })
    })
}

/// Reason for a failed search.
enum SearchError {
    BelowMinimum { target: f64, smallest: f64 },
    Other(TrainingError),
}

impl SearchError {
    fn into_training_error(self, budget: impl Fn(f64, f64) -> CalibrationError) -> TrainingError {
        match self {
            Self::BelowMinimum { target, smallest } => budget(target, smallest).into(),
            Self::Other(error) => error,
        }
    }
}

impl<E: Into<TrainingError>> From<E> for SearchError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Searches for the finest quantiser with a `rate` of at most `target`.
fn search_scale(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
    rate: impl Fn(&Calibration) -> f64,
    target: f64,
) -> Result<Calibration, SearchError> {
    let plan = CalibrationPlan::new(layers, check_layers(layers, sensitivities)?);
    let (mut fitting, mut too_large) = (-HALF_RANGE, HALF_RANGE);
    let mut smallest = rate(&calibrate_scale(layers, sensitivities, fitting, &plan.search)?);
    while smallest > target {
        if fitting <= -MAX_HALF_RANGES * HALF_RANGE {
            return Err(SearchError::BelowMinimum { target, smallest });
        }
        (fitting, too_large) = (fitting - HALF_RANGE, fitting);
        smallest = rate(&calibrate_scale(layers, sensitivities, fitting, &plan.search)?);
    }
    let mut upper_limit = HALF_RANGE;
    while too_large - fitting > 1 {
        let middle = fitting + (too_large - fitting) / 2;
        if rate(&calibrate_scale(layers, sensitivities, middle, &plan.search)?) <= target {
            fitting = middle;
        } else {
            too_large = middle;
        }
        let needs_higher_limit = too_large - fitting == 1
            && too_large == upper_limit
            && upper_limit < MAX_HALF_RANGES * HALF_RANGE;
        if needs_higher_limit {
            upper_limit += HALF_RANGE;
            too_large = upper_limit;
        }
    }
    if plan.held_out {
        // The rate is measured on latents that the tables were not counted on.
        let Calibration { mean_frame_bytes, bits_per_value, .. } =
            calibrate_scale(layers, sensitivities, fitting, &plan.search)?;
        let result = calibrate_scale(layers, sensitivities, fitting, &plan.result)?;
        return Ok(Calibration { mean_frame_bytes, bits_per_value, ..result });
    }
    // Tables counted over all latents fit the sample a little less well than tables of the sample.
    loop {
        let result = calibrate_scale(layers, sensitivities, fitting, &plan.result)?;
        if rate(&result) <= target || fitting <= -MAX_HALF_RANGES * HALF_RANGE {
            return Ok(result);
        }
        fitting -= 1;
    }
}

/// The rows used by the search and by its result.
struct CalibrationPlan {
    search: RowSelection,
    result: RowSelection,
    /// Whether the search measures on latents that it does not count.
    held_out: bool,
}

impl CalibrationPlan {
    fn new(layers: &[LayerLatents], count: usize) -> Self {
        let values_per_latent: usize = layers.iter().map(|layer| layer.len).sum();
        let sample_size = count.min(SEARCH_LATENTS).min((SEARCH_VALUES / values_per_latent).max(1));
        let shortest_run = layers.iter().map(|layer| layer.len / layer.runs).min().unwrap_or(1);
        let held_out = count > 1 && count * shortest_run < MIN_UNSMOOTHED_VALUES;
        let sample_rows: Vec<usize> = (0..sample_size).collect();
        let search = if held_out {
            let (measured, counted) =
                (0..count).partition(|row| row % HELD_OUT_INTERVAL == HELD_OUT_INTERVAL.min(count) - 1);
            RowSelection { counted, measured }
        } else {
            RowSelection { counted: sample_rows.clone(), measured: sample_rows.clone() }
        };
        Self {
            search,
            result: RowSelection { counted: (0..count).collect(), measured: sample_rows },
            held_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use lopside_latent::{FixedLatentSpace, LatentLayer, LatentSpaceId, Quantiser, Shape};
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn latents(count: usize, len: usize, runs: usize) -> LayerLatents {
        let mut rng = StdRng::seed_from_u64(3);
        let values = (0..count * len).map(|i| (rng.random::<f32>() - 0.5) * (1.0 + (i % 4) as f32)).collect();
        LayerLatents { values, len, runs }
    }

    /// Calibrates one layer of four values, each with its own sensitivity.
    fn calibrate_layer(
        count: usize,
        sensitivities: [f64; 4],
        frame_bytes: f64,
    ) -> Result<Calibration, TrainingError> {
        calibrate_bytes(&[latents(count, 4, 4)], &[sensitivities.to_vec()], frame_bytes)
    }

    #[test]
    fn the_budget_is_met_and_nearly_used_up() {
        for budget in [20.0, 24.0] {
            let found = calibrate_layer(3000, [1.0, 4.0, 1.0, 0.25], budget).unwrap();
            assert!((budget - 1.0..=budget).contains(&found.mean_frame_bytes), "{}", found.mean_frame_bytes);
        }
        assert!(matches!(
            calibrate_layer(3000, [1.0; 4], 3.0),
            Err(TrainingError::Calibration(CalibrationError::FrameBudget { .. }))
        ));
    }

    #[test]
    fn sensitive_values_get_finer_steps() {
        let found = calibrate_layer(500, [1.0, 16.0, 4.0, 1.0], 22.0).unwrap();
        let gains = &found.gains[0];
        assert!((gains[1] / gains[0] - 4.0).abs() < 1e-3, "{gains:?}");
        assert!((gains[2] / gains[0] - 2.0).abs() < 1e-3, "{gains:?}");
    }

    #[test]
    fn layers_share_the_budget_by_sensitivity() {
        let layers = [latents(300, 4, 4), latents(300, 12, 2)];
        let sensitivities = [vec![1.0, 4.0, 1.0, 1.0], vec![16.0, 1.0]];
        let found = calibrate_bits(&layers, &sensitivities, 4.0).unwrap();
        assert!((3.8..=4.0).contains(&found.bits_per_value), "{}", found.bits_per_value);
        assert_eq!(found.gains.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
        assert_eq!(found.tables.as_slice().len(), 6);
        assert!((found.gains[1][0] / found.gains[0][0] - 4.0).abs() < 1e-3, "{:?}", found.gains);
        assert!((found.gains[1][1] / found.gains[0][0] - 1.0).abs() < 1e-3, "{:?}", found.gains);
        // 16 values of 4 bits, plus the frame's overhead beside the payload.
        assert!((8.0..40.0).contains(&found.mean_frame_bytes), "{}", found.mean_frame_bytes);
    }

    #[test]
    fn a_run_shares_its_gain_and_its_table() {
        let layer = latents(2000, 8, 2);
        let found = calibrate_bits(std::slice::from_ref(&layer), &[vec![1.0, 1.0]], 3.0).unwrap();
        let quantiser = Quantiser::new(found.gains[0].clone()).unwrap();
        for (run, table) in found.tables.as_slice().iter().enumerate() {
            let rows = layer.values.chunks_exact(8).map(|row| quantiser.quantise(row).unwrap());
            let integers: Vec<i32> = rows.flat_map(|row| row[4 * run..4 * (run + 1)].to_vec()).collect();
            assert_eq!(
                (table.min(), table.max()),
                (*integers.iter().min().unwrap(), *integers.iter().max().unwrap())
            );
        }
    }

    #[test]
    fn steps_follow_the_scale_of_the_latent() {
        for unit in [1e-9_f32, 1.0, 1e9] {
            let mut layer = latents(200, 4, 4);
            layer.values.iter_mut().for_each(|value| *value *= unit);
            let found = calibrate_bits(&[layer], &[vec![1.0; 4]], 5.0).unwrap();
            assert!((4.8..=5.0).contains(&found.bits_per_value), "{unit}: {}", found.bits_per_value);
        }
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let good = latents(10, 4, 2);
        for layers in [
            vec![],
            vec![LayerLatents { runs: 3, ..good.clone() }],
            vec![LayerLatents { values: Vec::new(), ..good.clone() }],
            vec![good.clone(), latents(9, 4, 2)],
        ] {
            let sensitivities = vec![vec![1.0; 2]; layers.len()];
            let found = calibrate_bytes(&layers, &sensitivities, 100.0);
            assert!(
                matches!(found, Err(TrainingError::Calibration(CalibrationError::InvalidLatents { .. }))),
                "{layers:?}"
            );
        }
        let found = calibrate_bytes(&[good], &[vec![1.0; 3]], 100.0);
        assert!(matches!(found, Err(TrainingError::Calibration(CalibrationError::InvalidLatents { .. }))));
    }

    #[test]
    fn the_mean_size_of_few_latents_holds_for_others() {
        let (sample, others) = (latents(60, 4, 4), latents(3000, 4, 4));
        let found = calibrate_bits(&[sample], &[vec![1.0; 4]], 6.0).unwrap();
        let quantiser = Quantiser::new(found.gains[0].clone()).unwrap();
        let layer = LatentLayer { shape: Shape::new(&[4]).unwrap(), quantiser };
        let space = FixedLatentSpace::new(LatentSpaceId::new([0; 8]), vec![layer], found.tables).unwrap();
        let bits =
            others.values.chunks_exact(4).map(|z| space.cost_bits(&space.quantise(z).unwrap()).unwrap());
        let mean = bits.sum::<f64>() / others.values.len() as f64;
        assert!((5.0..6.6).contains(&mean), "{mean}");
    }
}
