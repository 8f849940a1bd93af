//! Measures the rate of quantised latents and the errors that they cause.

use lopside_bundle::FixedLatentLayerSpec;
use lopside_latent::{FixedLatentSpace, IdOnWire, LatentLayer, LatentSpaceId, Quantiser, Shape};
use serde::Serialize;

use super::tensor::NamedTensor;
use crate::{Calibration, LayerLatents, ModelError, TrainingError, engines::OrtModel};

/// Maximum number of values per batch.
const MAX_BATCH_VALUES: usize = 1 << 22;

/// Statistics of a tensor of the cut over all calibration inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LatentStatistics {
    pub(super) tensor: String,
    /// Dimensions, without the batch.
    pub(super) shape: Vec<u32>,
    /// Number of runs of values that share a gain and a table.
    pub(super) runs: usize,
    pub(super) min: f32,
    pub(super) max: f32,
    pub(super) mean: f64,
    pub(super) deviation: f64,
    /// Share of zeros, 0 to 1.
    pub(super) zeros: f64,
}

/// The figures of one quantiser on the test inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RatePoint {
    /// Target rate in bits per value.
    pub(super) bits: f64,
    /// Measured bits per value under the tables, without the frame header.
    pub(super) bits_a_value: f64,
    /// Mean frame size in bytes.
    pub(super) frame_bytes: f64,
    /// Errors of each output relative to the output of unquantised latents.
    pub(super) outputs: Vec<OutputError>,
}

/// The error of one output from quantised latents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct OutputError {
    pub(super) output: String,
    /// Root of the summed squared error divided by the summed squares.
    pub(super) relative_rms: f64,
    /// Share of inputs with the same largest value (top 1), for outputs with one number per class.
    pub(super) top1_agreement: Option<f64>,
}

impl LatentStatistics {
    pub(super) fn from_layer(tensor: &NamedTensor, layer: &LayerLatents) -> Self {
        let count = layer.values.len().max(1) as f64;
        let values = layer.values.iter().map(|&value| f64::from(value));
        let mean = values.clone().sum::<f64>() / count;
        Self {
            tensor: tensor.name.clone(),
            shape: tensor.dims.clone(),
            runs: layer.runs,
            min: layer.values.iter().copied().fold(f32::INFINITY, f32::min),
            max: layer.values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            mean,
            deviation: (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
            zeros: layer.values.iter().filter(|&&value| value == 0.0).count() as f64 / count,
        }
    }
}

/// A decoder with test latents and the outputs that it computes from them without quantisation.
pub(super) struct DecoderBench<'a> {
    pub(super) decoder: OrtModel,
    pub(super) latents: &'a [NamedTensor],
    pub(super) outputs: &'a [NamedTensor],
    /// Latents of the test inputs.
    pub(super) layers: &'a [LayerLatents],
    pub(super) count: usize,
    /// Outputs of the unquantised latents, per output.
    pub(super) expected: Vec<Vec<f32>>,
    /// Whether each output has one number per class.
    pub(super) classes: Vec<bool>,
}

impl DecoderBench<'_> {
    /// Measures `calibration`, which was made for `bits` per value, on the test inputs.
    pub(super) fn measure_point(
        &mut self,
        bits: f64,
        calibration: &Calibration,
    ) -> Result<RatePoint, TrainingError> {
        let space = latent_space(self.latents, calibration)?;
        let (mut total_bytes, mut total_bits) = (0, 0.0);
        let mut dequantised: Vec<Vec<f32>> = self.layers.iter().map(|_| Vec::new()).collect();
        for index in 0..self.count {
            let z: Vec<f32> = self.layers.iter().flat_map(|layer| layer.row(index)).copied().collect();
            let integers = space.quantise(&z)?;
            total_bytes += space.encode_integers(&integers, IdOnWire::Present)?.len();
            total_bits += space.cost_bits(&integers)?;
            let restored = space.dequantise(&integers)?;
            for (layer, dequantised) in dequantised.iter_mut().enumerate() {
                dequantised.extend(&restored[space.prefix_len(layer)..space.prefix_len(layer + 1)]);
            }
        }
        let dequantised: Vec<&[f32]> = dequantised.iter().map(Vec::as_slice).collect();
        let found = run_rows(&mut self.decoder, &dequantised, self.count)?;
        Ok(RatePoint {
            bits,
            bits_a_value: total_bits / (self.count * space.len()) as f64,
            frame_bytes: total_bytes as f64 / self.count as f64,
            outputs: self.errors(&found),
        })
    }

    /// Measures the errors of outputs against the expected ones.
    pub(super) fn errors(&self, found: &[Vec<f32>]) -> Vec<OutputError> {
        found.iter().enumerate().map(|(index, found)| self.output_error(index, found)).collect()
    }

    fn output_error(&self, index: usize, found: &[f32]) -> OutputError {
        let (output, expected) = (&self.outputs[index], &self.expected[index]);
        let items = expected.chunks(output.values()).zip(found.chunks(output.values()));
        let agreeing = items.filter(|(a, b)| largest_index(a) == largest_index(b)).count();
        OutputError {
            output: output.name.clone(),
            relative_rms: relative_rms(expected, found),
            top1_agreement: self.classes[index].then(|| agreeing as f64 / self.count as f64),
        }
    }
}

/// Runs a model on `count` rows and returns its outputs.
pub(super) fn run_rows(
    model: &mut OrtModel,
    layers: &[&[f32]],
    count: usize,
) -> Result<Vec<Vec<f32>>, ModelError> {
    let item_len = layers.iter().map(|layer| layer.len()).sum::<usize>() / count.max(1);
    // Outputs and intermediate tensors are larger than the inputs.
    model.run_items(layers, count, (MAX_BATCH_VALUES / (8 * item_len.max(1))).clamp(1, 64))
}

/// Builds the latent space of a calibration, without an id.
fn latent_space(
    latents: &[NamedTensor],
    calibration: &Calibration,
) -> Result<FixedLatentSpace, TrainingError> {
    let mut layers = Vec::with_capacity(latents.len());
    for (latent, gains) in latents.iter().zip(&calibration.gains) {
        let (shape, quantiser) = (Shape::new(&latent.dims)?, Quantiser::new(gains.clone())?);
        layers.push(LatentLayer { shape, quantiser });
    }
    Ok(FixedLatentSpace::new(LatentSpaceId::new([0; 8]), layers, calibration.tables.clone())?)
}

/// Returns the layers as entries of a manifest.
pub(super) fn latent_specs(latents: &[NamedTensor], calibration: &Calibration) -> Vec<FixedLatentLayerSpec> {
    let layers = latents.iter().zip(&calibration.gains);
    layers
        .map(|(latent, gains)| FixedLatentLayerSpec { tensor: latent.tensor_spec(), gains: gains.clone() })
        .collect()
}

fn largest_index(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]))
}

fn relative_rms(expected: &[f32], found: &[f32]) -> f64 {
    let error = sum_squares(expected.iter().zip(found).map(|(a, b)| f64::from(a - b)));
    let scale = sum_squares(expected.iter().map(|&value| f64::from(value)));
    if error == 0.0 { 0.0 } else { (error / scale.max(f64::MIN_POSITIVE)).sqrt() }
}

fn sum_squares(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum()
}
