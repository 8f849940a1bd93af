//! Builds the score head of a bundle: its model, and the quantiles of its parts on normal samples.
//!
//! Density and head are fitted on the training samples, quantiles on the held-out validation samples: a model
//! has smaller errors on the samples it was fitted to than on new normal samples.

use cloud_decoder::Runtime;
use lopside_bundle::{
    DraftHead, HeadKind,
    score::{PartSource, PartSpec, Quantiles, ScoreSpec},
};
use lopside_latent::LatentSpace;
use lopside_onnx::encode;

use crate::{
    TrainingError,
    bundle::{cost_of, stamped, tensor},
    definition::{Anomaly, AnomalyPart, Shape},
    density::Density,
    engines::{OrtModel, Values},
    net::{Net, OUTPUT, SCORES},
};

/// Name of the head.
const SCORE: &str = "score";
/// Number of points in a quantile table.
const POINTS: usize = 129;

/// Normal samples that a score head is fitted on.
pub(crate) struct Normal<'a> {
    /// Latents of the training samples, base layer only.
    pub(crate) learnt: &'a [f32],
    /// Inputs of the held-out samples.
    pub(crate) held_out: &'a [f32],
    /// Latents of the held-out samples, one tensor per layer.
    pub(crate) latents: &'a [Values],
}

/// Builds the head, with quantiles of latents quantised by `space`.
///
/// # Errors
/// [`TrainingError::NoNormalRows`] without normal samples, [`TrainingError::Model`] when the head does not
/// run.
pub(crate) fn head(
    net: &Net,
    anomaly: &Anomaly,
    space: &LatentSpace,
    normal: &Normal<'_>,
    runtime: &Runtime,
) -> Result<DraftHead, TrainingError> {
    let density = Density::fit(normal.learnt, net.blueprint().latent.values());
    let density = density.ok_or(TrainingError::NoNormalRows)?;
    let model = stamped(&encode(&net.score_head(&density)?), &space.id().to_string())?;
    let columns = net.score_columns();
    let found = parts(net, space, normal, OrtModel::new(runtime, SCORE, &model)?)?;
    let spec = spec(anomaly, &columns, &found)?;
    let blueprint = net.blueprint();
    Ok(DraftHead {
        name: SCORE.into(),
        version: 1,
        kind: HeadKind::Score(spec),
        cost: cost_of(&model)?,
        model,
        inputs: net.latents().into_iter().map(|(name, _)| name).collect(),
        output: tensor(SCORES, Shape::Flat(columns.len())),
    })
    .map(|head| with_reconstruction(head, blueprint.output))
}

fn with_reconstruction(mut head: DraftHead, output: Shape) -> DraftHead {
    if let HeadKind::Score(spec) = &mut head.kind {
        spec.reconstruction = Some(tensor(OUTPUT, output));
    }
    head
}

/// Computes the values of every part over the held-out samples.
fn parts(
    net: &Net,
    space: &LatentSpace,
    normal: &Normal<'_>,
    mut model: OrtModel,
) -> Result<Vec<(AnomalyPart, Vec<f32>)>, TrainingError> {
    let columns = net.score_columns();
    let (bits, latents) = quantised(space, normal.latents)?;
    let outputs = model.run_batches(&latents)?;
    // The outputs are in the order of the graph: the reconstruction, then the columns.
    let [reconstruction, scores] = &outputs[..] else {
        return Err(TrainingError::Model {
            model: SCORE.into(),
            reason: "it does not have two outputs".into(),
        });
    };
    let mut found = vec![(AnomalyPart::Bits, bits)];
    for (index, part) in columns.iter().enumerate() {
        found.push((*part, scores.values.iter().skip(index).step_by(columns.len()).copied().collect()));
    }
    let each = net.blueprint().output.values();
    let pairs = || normal.held_out.chunks_exact(each).zip(reconstruction.values.chunks_exact(each));
    let squared =
        |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let energy = |a: &[f32]| a.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().max(1e-12);
    found.push((AnomalyPart::Error, pairs().map(|pair| (squared(pair) / each as f64) as f32).collect()));
    let relative = pairs().map(|pair| (squared(pair) / energy(pair.0)) as f32).collect();
    found.push((AnomalyPart::RelativeError, relative));
    Ok(found)
}

/// Quantises latents. Returns their cost in bits and the dequantised latents.
fn quantised(space: &LatentSpace, latents: &[Values]) -> Result<(Vec<f32>, Vec<Values>), TrainingError> {
    let count = latents.first().map_or(0, |layer| layer.dims[0]);
    let mut bits = Vec::with_capacity(count);
    let mut arrived: Vec<Values> =
        latents.iter().map(|layer| Values { dims: layer.dims.clone(), values: Vec::new() }).collect();
    for row in 0..count {
        let of_layer = |layer: &Values| {
            let each = layer.values.len() / count;
            layer.values[row * each..][..each].to_vec()
        };
        let latent: Vec<f32> = latents.iter().flat_map(of_layer).collect();
        let integers = space.quantise(&latent)?;
        bits.push(space.bits(&integers)? as f32);
        let latent = space.dequantise(&integers)?;
        for (index, layer) in arrived.iter_mut().enumerate() {
            layer.values.extend(&latent[space.prefix(index)..space.prefix(index + 1)]);
        }
    }
    Ok((bits, arrived))
}

fn spec(
    anomaly: &Anomaly,
    columns: &[AnomalyPart],
    found: &[(AnomalyPart, Vec<f32>)],
) -> Result<ScoreSpec, TrainingError> {
    let parts = found.iter().map(|(part, values)| {
        let weight = f32::from(anomaly.parts.contains(part));
        part_spec(*part, weight, columns, values).ok_or(TrainingError::NoNormalRows)
    });
    let parts: Vec<PartSpec> = parts.collect::<Result<_, _>>()?;
    let sums = |with_input: bool| {
        let known: Vec<_> =
            parts.iter().zip(found).filter(|(part, _)| with_input || !part.source.needs_input()).collect();
        let samples = found.first().map_or(0, |(_, values)| values.len());
        let sum = |sample: usize| known.iter().map(|(part, (_, values))| part.term(values[sample])).sum();
        let sums: Vec<f32> = (0..samples).map(sum).collect();
        Quantiles::of(&sums, POINTS).ok_or(TrainingError::NoNormalRows)
    };
    let (quantiles, quantiles_with_input) = (sums(false)?, Some(sums(true)?));
    Ok(ScoreSpec {
        parts,
        quantiles,
        quantiles_with_input,
        threshold: anomaly.threshold,
        reconstruction: None,
    })
}

fn part_spec(part: AnomalyPart, weight: f32, columns: &[AnomalyPart], values: &[f32]) -> Option<PartSpec> {
    let source = match part {
        AnomalyPart::Bits => PartSource::Bits,
        AnomalyPart::Error => PartSource::Error,
        AnomalyPart::RelativeError => PartSource::RelativeError,
        AnomalyPart::ReEncoding | AnomalyPart::Mahalanobis => {
            PartSource::Column(columns.iter().position(|column| *column == part)? as u32)
        }
    };
    let quantiles = Quantiles::of(values, POINTS)?;
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    // A constant part keeps its unit.
    let deviation = if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 };
    Some(PartSpec { name: part.name().into(), source, weight, mean: mean as f32, deviation, quantiles })
}
