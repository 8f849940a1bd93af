//! Builds the score head of a bundle: its model, and the quantiles of its parts on normal samples.
//!
//! Density and head are fitted on the training samples, quantiles on the held-out validation samples: a model
//! has smaller errors on the samples it was fitted to than on new normal samples.

use lopside_bundle::{
    FixedLatentDraftHead, HeadKind,
    score::{Quantiles, ScorePartSource, ScorePartSpec, ScoreSpec},
};
use lopside_decoder::Runtime;
use lopside_latent::FixedLatentSpace;
use lopside_onnx::encode_model;

use crate::{
    DataError, ModelError, TrainingError,
    bundle::{batched_tensor, cost_of, with_latent_space},
    definition::{AnomalyDefinition, AnomalyPart, Shape},
    density::LatentDensity,
    engines::{OrtModel, TensorValues},
    net::{Net, OUTPUT, SCORES},
};

/// Name of the head.
const SCORE_HEAD: &str = "score";
/// Number of points in a quantile table.
const QUANTILE_POINTS: usize = 129;

/// Normal samples that a score head is fitted on.
pub(crate) struct NormalSamples<'a> {
    /// Latents of the training samples, base layer only.
    pub(crate) training_latents: &'a [f32],
    /// Inputs of the held-out samples.
    pub(crate) held_out_inputs: &'a [f32],
    /// Latents of the held-out samples, one tensor per layer.
    pub(crate) held_out_latents: &'a [TensorValues],
}

/// Builds the head, with quantiles of latents quantised by `space`.
///
/// # Errors
/// [`DataError::TooFewNormalRows`] without normal samples, [`ModelError::Failed`] when the head does not run.
pub(crate) fn build_head(
    net: &Net,
    anomaly: &AnomalyDefinition,
    space: &FixedLatentSpace,
    normal: &NormalSamples<'_>,
    runtime: &Runtime,
) -> Result<FixedLatentDraftHead, TrainingError> {
    let density = LatentDensity::fit(normal.training_latents, net.blueprint().latent.values());
    let density = density.ok_or(DataError::TooFewNormalRows)?;
    let model = with_latent_space(&encode_model(&net.score_head(&density)?), &space.id().to_string())?;
    let columns = net.score_columns();
    let values_by_part = part_values(net, space, normal, OrtModel::new(runtime, SCORE_HEAD, &model)?)?;
    let spec = score_spec(anomaly, &columns, &values_by_part)?;
    let blueprint = net.blueprint();
    Ok(FixedLatentDraftHead {
        name: SCORE_HEAD.into(),
        version: 1,
        kind: HeadKind::Score(spec),
        cost: cost_of(&model)?,
        model,
        inputs: net.latents().into_iter().map(|(name, _)| name).collect(),
        output: batched_tensor(SCORES, Shape::Flat(columns.len())),
    })
    .map(|head| with_reconstruction(head, blueprint.output))
}

fn with_reconstruction(mut head: FixedLatentDraftHead, output: Shape) -> FixedLatentDraftHead {
    if let HeadKind::Score(spec) = &mut head.kind {
        spec.reconstruction = Some(batched_tensor(OUTPUT, output));
    }
    head
}

/// Computes the values of every part over the held-out samples.
fn part_values(
    net: &Net,
    space: &FixedLatentSpace,
    normal: &NormalSamples<'_>,
    mut model: OrtModel,
) -> Result<Vec<(AnomalyPart, Vec<f32>)>, TrainingError> {
    let columns = net.score_columns();
    let (bits, latents) = quantise_latents(space, normal.held_out_latents)?;
    let outputs = model.run_batches(&latents)?;
    // The outputs are in the order of the graph: the reconstruction, then the columns.
    let [reconstruction, scores] = &outputs[..] else {
        return Err(ModelError::OutputCount { head: SCORE_HEAD.into() }.into());
    };
    let mut values_by_part = vec![(AnomalyPart::Bits, bits)];
    for (index, part) in columns.iter().enumerate() {
        values_by_part
            .push((*part, scores.values.iter().skip(index).step_by(columns.len()).copied().collect()));
    }
    let value_count = net.blueprint().output.values();
    let pairs =
        normal.held_out_inputs.chunks_exact(value_count).zip(reconstruction.values.chunks_exact(value_count));
    let errors = pairs.clone().map(|(a, b)| (squared_error(a, b) / value_count as f64) as f32).collect();
    values_by_part.push((AnomalyPart::Error, errors));
    let relative_errors =
        pairs.map(|(a, b)| (squared_error(a, b) / squared_norm(a).max(1e-12)) as f32).collect();
    values_by_part.push((AnomalyPart::RelativeError, relative_errors));
    Ok(values_by_part)
}

fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

fn squared_norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum()
}

/// Quantises latents. Returns their cost in bits and the dequantised latents.
fn quantise_latents(
    space: &FixedLatentSpace,
    latents: &[TensorValues],
) -> Result<(Vec<f32>, Vec<TensorValues>), TrainingError> {
    let count = latents.first().map_or(0, |layer| layer.dims[0]);
    let mut bits = Vec::with_capacity(count);
    let mut dequantised: Vec<TensorValues> =
        latents.iter().map(|layer| TensorValues { dims: layer.dims.clone(), values: Vec::new() }).collect();
    for row in 0..count {
        let mut latent = Vec::new();
        for layer in latents {
            let layer_len = layer.values.len() / count;
            latent.extend_from_slice(&layer.values[row * layer_len..][..layer_len]);
        }
        let integers = space.quantise(&latent)?;
        bits.push(space.cost_bits(&integers)? as f32);
        let latent = space.dequantise(&integers)?;
        for (index, layer) in dequantised.iter_mut().enumerate() {
            layer.values.extend(&latent[space.prefix_len(index)..space.prefix_len(index + 1)]);
        }
    }
    Ok((bits, dequantised))
}

fn score_spec(
    anomaly: &AnomalyDefinition,
    columns: &[AnomalyPart],
    values_by_part: &[(AnomalyPart, Vec<f32>)],
) -> Result<ScoreSpec, DataError> {
    let parts = values_by_part.iter().map(|(part, values)| {
        let weight = f32::from(anomaly.parts.contains(part));
        part_spec(*part, weight, columns, values).ok_or(DataError::TooFewNormalRows)
    });
    let parts: Vec<ScorePartSpec> = parts.collect::<Result<_, _>>()?;
    let quantiles = score_quantiles(&parts, values_by_part, false)?;
    let quantiles_with_input = score_quantiles(&parts, values_by_part, true)?;
    Ok(ScoreSpec {
        parts,
        quantiles,
        quantiles_with_input: Some(quantiles_with_input),
        threshold: anomaly.threshold,
        reconstruction: None,
    })
}

/// Computes the quantiles of the sums of all parts, or of the parts that do not require the reference input.
fn score_quantiles(
    parts: &[ScorePartSpec],
    values_by_part: &[(AnomalyPart, Vec<f32>)],
    with_input: bool,
) -> Result<Quantiles, DataError> {
    let available: Vec<_> = parts
        .iter()
        .zip(values_by_part)
        .filter(|(part, _)| with_input || !part.source.needs_input())
        .collect();
    let samples = values_by_part.first().map_or(0, |(_, values)| values.len());
    let sums: Vec<f32> = (0..samples)
        .map(|sample| available.iter().map(|(part, (_, values))| part.term(values[sample])).sum())
        .collect();
    Quantiles::from_samples(&sums, QUANTILE_POINTS).ok_or(DataError::TooFewNormalRows)
}

fn part_spec(
    part: AnomalyPart,
    weight: f32,
    columns: &[AnomalyPart],
    values: &[f32],
) -> Option<ScorePartSpec> {
    let source = match part {
        AnomalyPart::Bits => ScorePartSource::Bits,
        AnomalyPart::Error => ScorePartSource::Error,
        AnomalyPart::RelativeError => ScorePartSource::RelativeError,
        AnomalyPart::ReEncoding | AnomalyPart::Mahalanobis => {
            ScorePartSource::Column(columns.iter().position(|column| *column == part)? as u32)
        }
    };
    let quantiles = Quantiles::from_samples(values, QUANTILE_POINTS)?;
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    // A constant part keeps its unit.
    let deviation = if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 };
    Some(ScorePartSpec { name: part.name().into(), source, weight, mean: mean as f32, deviation, quantiles })
}
