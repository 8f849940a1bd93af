//! The latents of a layer, in runs of values.

use crate::CalibrationError;

/// Maximum number of runs per layer.
const MAX_RUNS: usize = 4096;

/// The latents of one layer over a calibration set.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerLatents {
    /// Rows of `len` values, one per calibration input.
    pub values: Vec<f32>,
    /// Number of values of this layer per latent.
    pub len: usize,
    /// Number of runs of consecutive values, all of equal length, each with a gain and a table: 1 to 4096,
    /// see [`run_count`].
    pub runs: usize,
}

impl LayerLatents {
    /// Returns the values of one latent.
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.len..][..self.len]
    }
}

/// Returns the number of runs of a layer with these dimensions (without the batch): one per value for a flat
/// layer, one per entry of the first dimension for maps `[c, h, w]` or rows `[t, f]`. Leading dimensions of 1
/// are skipped, and the result is the largest divisor of that number up to 4096.
#[must_use]
pub fn run_count(dims: &[u32]) -> usize {
    let leading = dims.iter().find(|&&dim| dim > 1).map_or(1, |&dim| dim as usize);
    (1..=leading.min(MAX_RUNS)).rev().find(|runs| leading.is_multiple_of(*runs)).unwrap_or(1)
}

/// Validates the layers and returns the number of latents, which is the same in all layers.
pub(super) fn check_layers(
    layers: &[LayerLatents],
    sensitivities: &[Vec<f64>],
) -> Result<usize, CalibrationError> {
    if layers.is_empty() || layers.len() != sensitivities.len() {
        return Err(latents_error(format!(
            "there are {} layers, but sensitivities for {}",
            layers.len(),
            sensitivities.len()
        )));
    }
    let count = layers[0].values.len() / layers[0].len.max(1);
    for (index, (layer, sensitivities)) in layers.iter().zip(sensitivities).enumerate() {
        let is_divisible = (1..=MAX_RUNS).contains(&layer.runs) && layer.len.is_multiple_of(layer.runs);
        if layer.len == 0 || !is_divisible {
            return Err(latents_error(format!(
                "layer {index}: the number of runs, {}, does not suit the number of values, {}",
                layer.runs, layer.len
            )));
        }
        if count == 0 || layer.values.len() != count * layer.len {
            let values = layer.values.len();
            return Err(latents_error(format!(
                "layer {index}: {values} values do not make {count} latents of {} values",
                layer.len
            )));
        }
        if sensitivities.len() != layer.runs {
            let found = sensitivities.len();
            return Err(latents_error(format!(
                "layer {index}: there are {found} sensitivities, but {} runs",
                layer.runs
            )));
        }
    }
    Ok(count)
}

fn latents_error(reason: String) -> CalibrationError {
    CalibrationError::InvalidLatents { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_values_maps_or_rows() {
        for (dims, expected) in [
            (&[32][..], 32),
            (&[480, 12, 40], 480),
            (&[40, 120], 40),
            (&[1, 20, 20], 20),
            (&[1, 1], 1),
            (&[8192], 4096),
            (&[4099], 1),
        ] {
            assert_eq!(run_count(dims), expected, "{dims:?}");
        }
    }
}
