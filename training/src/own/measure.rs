//! What quantised latents cost and what they spoil.

use lopside_bundle::LatentSpec;
use lopside_latent::{IdOnWire, LatentLayer, LatentSpace, LatentSpaceId, Quantiser, Shape};
use serde::Serialize;

use super::tensor::Named;
use crate::{Calibration, LayerLatents, TrainingError, engines::OrtModel};

/// Values of a batch.
const BATCH_VALUES: usize = 1 << 22;

/// The values of a tensor of the cut over all calibration inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Range {
    pub(super) tensor: String,
    /// Without the batch.
    pub(super) shape: Vec<u32>,
    /// Runs of values that share a gain and a table.
    pub(super) runs: usize,
    pub(super) min: f32,
    pub(super) max: f32,
    pub(super) mean: f64,
    pub(super) deviation: f64,
    /// The share of zeros, 0 to 1.
    pub(super) zeros: f64,
}

/// A quantiser on the test inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    /// Bits a value that were asked for.
    pub(super) bits: f64,
    /// Bits a value under the tables, without the frame's header.
    pub(super) bits_a_value: f64,
    /// The mean frame.
    pub(super) frame_bytes: f64,
    /// Each output against what it is of latents that are not quantised.
    pub(super) outputs: Vec<OutputError>,
}

/// An output of quantised latents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct OutputError {
    pub(super) output: String,
    /// The root of the summed squared error over that of the summed squares.
    pub(super) relative_rms: f64,
    /// The share of inputs whose largest value stands in the same place, of an output of one number a class.
    pub(super) top1_agreement: Option<f64>,
}

impl Range {
    pub(super) fn of(tensor: &Named, layer: &LayerLatents) -> Self {
        let count = layer.values.len().max(1) as f64;
        let values = || layer.values.iter().map(|&value| f64::from(value));
        let mean = values().sum::<f64>() / count;
        Self {
            tensor: tensor.name.clone(),
            shape: tensor.dims.clone(),
            runs: layer.runs,
            min: layer.values.iter().copied().fold(f32::INFINITY, f32::min),
            max: layer.values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            mean,
            deviation: (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
            zeros: layer.values.iter().filter(|&&value| value == 0.0).count() as f64 / count,
        }
    }
}

/// Latents that a decoder makes outputs of, and what it makes of them as they are.
pub(super) struct Bench<'a> {
    pub(super) decoder: OrtModel,
    pub(super) latents: &'a [Named],
    pub(super) outputs: &'a [Named],
    /// The latents of the test inputs.
    pub(super) layers: &'a [LayerLatents],
    pub(super) count: usize,
    /// The outputs of the latents as they are, by output.
    pub(super) expected: Vec<Vec<f32>>,
    /// The outputs that are one number a class.
    pub(super) classes: Vec<bool>,
}

impl Bench<'_> {
    /// What `calibration`, made for so many bits a value, does to the test inputs.
    pub(super) fn point(&mut self, bits: f64, calibration: &Calibration) -> Result<Point, TrainingError> {
        let space = space(self.latents, calibration)?;
        let (mut bytes, mut coded) = (0, 0.0);
        let mut back: Vec<Vec<f32>> = self.layers.iter().map(|_| Vec::new()).collect();
        for number in 0..self.count {
            let z: Vec<f32> = self.layers.iter().flat_map(|layer| layer.row(number)).copied().collect();
            let integers = space.quantise(&z)?;
            bytes += space.encode_integers(&integers, IdOnWire::Present)?.len();
            coded += space.bits(&integers)?;
            let restored = space.dequantise(&integers)?;
            for (layer, back) in back.iter_mut().enumerate() {
                back.extend(&restored[space.prefix(layer)..space.prefix(layer + 1)]);
            }
        }
        let back: Vec<&[f32]> = back.iter().map(Vec::as_slice).collect();
        let found = run(&mut self.decoder, &back, self.count)?;
        Ok(Point {
            bits,
            bits_a_value: coded / (self.count * space.len()) as f64,
            frame_bytes: bytes as f64 / self.count as f64,
            outputs: self.errors(&found),
        })
    }

    /// How far outputs are from the expected ones.
    pub(super) fn errors(&self, found: &[Vec<f32>]) -> Vec<OutputError> {
        let error = |(number, found): (usize, &Vec<f32>)| {
            let (output, expected) = (&self.outputs[number], &self.expected[number]);
            let items = expected.chunks(output.values()).zip(found.chunks(output.values()));
            let same = items.filter(|(a, b)| largest(a) == largest(b)).count();
            OutputError {
                output: output.name.clone(),
                relative_rms: relative_rms(expected, found),
                top1_agreement: self.classes[number].then(|| same as f64 / self.count as f64),
            }
        };
        found.iter().enumerate().map(error).collect()
    }
}

/// What a model makes of these rows, by output.
pub(super) fn run(
    model: &mut OrtModel,
    layers: &[&[f32]],
    count: usize,
) -> Result<Vec<Vec<f32>>, TrainingError> {
    let each = layers.iter().map(|layer| layer.len()).sum::<usize>() / count.max(1);
    // Outputs and what is between are larger than what comes in.
    model.run_items(layers, count, (BATCH_VALUES / (8 * each.max(1))).clamp(1, 64))
}

/// The latent space of a calibration, without its name.
fn space(latents: &[Named], calibration: &Calibration) -> Result<LatentSpace, TrainingError> {
    let layer = |(latent, gains): (&Named, &Vec<f32>)| -> Result<LatentLayer, TrainingError> {
        Ok(LatentLayer { shape: Shape::new(&latent.dims)?, quantiser: Quantiser::new(gains.clone())? })
    };
    let layers = latents.iter().zip(&calibration.gains).map(layer).collect::<Result<_, _>>()?;
    Ok(LatentSpace::new(LatentSpaceId::new([0; 8]), layers, calibration.tables.clone())?)
}

/// The layers as a manifest has them.
pub(super) fn specs(latents: &[Named], calibration: &Calibration) -> Vec<LatentSpec> {
    let layers = latents.iter().zip(&calibration.gains);
    layers.map(|(latent, gains)| LatentSpec { tensor: latent.spec(), gains: gains.clone() }).collect()
}

fn largest(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]))
}

fn relative_rms(expected: &[f32], found: &[f32]) -> f64 {
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let error = sum(&mut expected.iter().zip(found).map(|(a, b)| f64::from(a - b)));
    let scale = sum(&mut expected.iter().map(|&value| f64::from(value)));
    if error == 0.0 { 0.0 } else { (error / scale.max(f64::MIN_POSITIVE)).sqrt() }
}
