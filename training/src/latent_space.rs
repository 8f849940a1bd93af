//! Turns a trained model into the draft of its bundle: latents of the training samples, quantiser, tables and
//! heads.

use cloud_decoder::Runtime;
use lopside_bundle::Draft;

use crate::{
    TrainingError, bundle,
    calibrate::{self, LayerLatents},
    corpus::{Content, Corpus},
    definition::{Blueprint, Shape},
    engines::{OrtModel, Values},
    net::Net,
    samples::Samples,
    score::{self, Normal},
    split::{DECODER, ENCODER, Halves},
    train::learnt,
};

/// Returns the draft and the mean frame size of the training samples in bytes.
///
/// # Errors
/// [`TrainingError::Budget`] when the frames cannot be made small enough, [`TrainingError::Model`] when a
/// half does not run.
pub(crate) fn draft(
    net: &Net,
    halves: &Halves,
    corpus: &Corpus,
    samples: &Samples,
    blueprint: &Blueprint,
    runtime: &Runtime,
) -> Result<(Draft, f64), TrainingError> {
    let every: Vec<usize> = (0..samples.len()).collect();
    let inputs = samples.batch(&every).input;
    let dims = std::iter::once(samples.len()).chain(blueprint.input.dims()).collect();
    let inputs = Values { dims, values: inputs };
    let latents =
        OrtModel::new(runtime, ENCODER, &halves.encoder)?.run_batches(std::slice::from_ref(&inputs))?;
    let layers = layers(blueprint, &latents);
    let mut decoder = OrtModel::new(runtime, DECODER, &halves.decoder)?;
    let sensitivities = calibrate::sensitivities(&mut decoder, &layers)?;
    let calibration = calibrate::calibrate(&layers, &sensitivities, blueprint.definition.frame.bytes)?;
    let series = match &corpus.content {
        Content::Series(half) => Some(&half.spec),
        Content::Pictures(_) => None,
    };
    let mut draft = bundle::draft(blueprint, halves, &calibration, series)?;
    if let Some(anomaly) = &blueprint.definition.anomaly {
        let (split, count) = (learnt(samples.len()), samples.len());
        let held_out: Vec<Values> = latents.iter().map(|layer| layer.rows(split..count)).collect();
        let normal = Normal {
            learnt: &latents[0].rows(0..split).values,
            held_out: &inputs.rows(split..count).values,
            latents: &held_out,
        };
        draft.heads.push(score::head(net, anomaly, &draft.space()?, &normal, runtime)?);
    }
    Ok((draft, calibration.mean_frame_bytes))
}

/// Returns the latent and the taps as layers.
fn layers(blueprint: &Blueprint, latents: &[Values]) -> Vec<LayerLatents> {
    let shapes = std::iter::once(blueprint.latent).chain(blueprint.taps.iter().map(|tap| tap.shape));
    let layer = |(shape, latents): (Shape, &Values)| {
        let dims: Vec<u32> = shape.dims().into_iter().map(|dim| dim as u32).collect();
        LayerLatents { values: latents.values.clone(), len: shape.values(), runs: calibrate::runs(&dims) }
    };
    shapes.zip(latents).map(layer).collect()
}
