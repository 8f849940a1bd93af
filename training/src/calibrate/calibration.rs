//! The gains and tables of one scale, and the rate that they reach.

use lopside_latent::{FixedLatentSpace, IdOnWire, LatentLayer, LatentSpaceId, Quantiser, Shape, Tables};

use super::{layer_latents::LayerLatents, table};
use crate::TrainingError;

/// Number of gain steps per octave. Gains are powers of 2^(1/16), so that a difference in the last bit of a
/// float between two machines does not change them.
const STEPS_PER_OCTAVE: f64 = 16.0;

/// The result of a calibration: gains, tables and measured rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The gains of each layer, one per run.
    pub gains: Vec<Vec<f32>>,
    /// The tables of all runs, layer by layer, counted over all latents of the calibration set.
    pub tables: Tables,
    /// Mean frame size in bytes, including header and latent-space id. It is measured on the first 2000
    /// latents or 2²³ values. If a run has fewer than 4096 values, it is measured on every fifth latent with
    /// tables counted on the others. The header declares each layer as flat; other shapes take up to three
    /// bytes more.
    pub mean_frame_bytes: f64,
    /// Bits per value over the same latents: −log₂ of the probability under the tables, without the header.
    pub bits_per_value: f64,
}

/// Rows of latents to count and rows to measure.
#[derive(Debug, Clone)]
pub(super) struct RowSelection {
    pub(super) counted: Vec<usize>,
    pub(super) measured: Vec<usize>,
}

/// Quantises and counts with the gains of one scale.
pub(super) fn calibrate_scale(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
    scale: i32,
    rows: &RowSelection,
) -> Result<Calibration, TrainingError> {
    let (mut gains, mut measured, mut tables, mut latent_layers) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (layer, sensitivities) in layers.iter().zip(sensitivities) {
        let layer_gains = sensitivities.iter().map(|&sensitivity| run_gain(sensitivity, scale));
        let quantiser = Quantiser::new(layer_gains.collect())?;
        let integers = quantise_rows(&quantiser, layer, &rows.counted)?;
        let run_len = layer.len / layer.runs;
        for index in 0..layer.runs {
            tables.push(table::from_rows(&integers, index * run_len..(index + 1) * run_len)?);
        }
        measured.push(quantise_rows(&quantiser, layer, &rows.measured)?);
        gains.push(quantiser.gains().to_vec());
        latent_layers.push(LatentLayer { shape: Shape::new(&[layer.len as u32])?, quantiser });
    }
    let space = FixedLatentSpace::new(LatentSpaceId::new([0; 8]), latent_layers, Tables::new(tables)?)?;
    let (mut bytes, mut bits) = (0, 0.0);
    let count = rows.measured.len();
    for index in 0..count {
        let row: Vec<i32> = measured.iter().flat_map(|layer| layer[index].iter().copied()).collect();
        bytes += space.encode_integers(&row, IdOnWire::Present)?.len();
        bits += space.cost_bits(&row)?;
    }
    Ok(Calibration {
        gains,
        tables: space.tables().clone(),
        mean_frame_bytes: bytes as f64 / count as f64,
        bits_per_value: bits / (count * space.len()) as f64,
    })
}

/// Returns the gain of a run at a scale, a power of 2^(1/16).
fn run_gain(sensitivity: f64, scale: i32) -> f32 {
    let step = (0.5 * sensitivity.log2() * STEPS_PER_OCTAVE + f64::from(scale)).round();
    (step / STEPS_PER_OCTAVE).exp2() as f32
}

fn quantise_rows(
    quantiser: &Quantiser,
    layer: &LayerLatents,
    rows: &[usize],
) -> Result<Vec<Vec<i32>>, TrainingError> {
    rows.iter().map(|&row| Ok(quantiser.quantise(layer.row(row))?)).collect()
}
