//! Turns a trained model into the draft of its bundle: latents of the training samples, quantiser, tables and
//! heads.

use lopside_bundle::FixedLatentDraft;
use lopside_decoder::Runtime;

use crate::{
    TrainingError, bundle,
    calibrate::{self, LayerLatents},
    corpus::{Corpus, CorpusSamples},
    definition::Blueprint,
    engines::{OrtModel, TensorValues},
    net::Net,
    samples::Samples,
    score::{self, NormalSamples},
    split::{DECODER_FILE, ENCODER_FILE, Halves},
    train::training_count,
};

/// Returns the draft and the mean frame size of the training samples in bytes.
///
/// # Errors
/// [`CalibrationError::FrameBudget`](crate::CalibrationError::FrameBudget) when the frames cannot be made small
/// enough, [`ModelError::Failed`](crate::ModelError::Failed) when a half does not run.
pub(crate) fn draft_bundle(
    net: &Net,
    halves: &Halves,
    corpus: &Corpus,
    samples: &Samples,
    blueprint: &Blueprint,
    runtime: &Runtime,
) -> Result<(FixedLatentDraft, f64), TrainingError> {
    let all_indices: Vec<usize> = (0..samples.len()).collect();
    let inputs = samples.batch(&all_indices).input;
    let dims = std::iter::once(samples.len()).chain(blueprint.input.dims()).collect();
    let inputs = TensorValues { dims, values: inputs };
    let latents =
        OrtModel::new(runtime, ENCODER_FILE, &halves.encoder)?.run_batches(std::slice::from_ref(&inputs))?;
    let layers = layer_latents(blueprint, &latents);
    let mut decoder = OrtModel::new(runtime, DECODER_FILE, &halves.decoder)?;
    let sensitivities = calibrate::measure_sensitivities(&mut decoder, &layers)?;
    let calibration = calibrate::calibrate_bytes(&layers, &sensitivities, blueprint.definition.frame.bytes)?;
    let series = match &corpus.samples {
        CorpusSamples::Series(half) => Some(&half.spec),
        CorpusSamples::Images(_) => None,
    };
    let mut draft = bundle::draft(blueprint, halves, &calibration, series)?;
    if let Some(anomaly) = &blueprint.definition.anomaly {
        let (split, count) = (training_count(samples.len()), samples.len());
        let held_out: Vec<TensorValues> = latents.iter().map(|layer| layer.rows(split..count)).collect();
        let normal = NormalSamples {
            training_latents: &latents[0].rows(0..split).values,
            held_out_inputs: &inputs.rows(split..count).values,
            held_out_latents: &held_out,
        };
        draft.heads.push(score::build_head(net, anomaly, &draft.build_space()?, &normal, runtime)?);
    }
    Ok((draft, calibration.mean_frame_bytes))
}

/// Returns the latent and the taps as layers.
fn layer_latents(blueprint: &Blueprint, latents: &[TensorValues]) -> Vec<LayerLatents> {
    let shapes = std::iter::once(blueprint.latent).chain(blueprint.taps.iter().map(|tap| tap.shape));
    shapes
        .zip(latents)
        .map(|(shape, latents)| {
            let dims: Vec<u32> = shape.dims().into_iter().map(|dim| dim as u32).collect();
            LayerLatents {
                values: latents.values.clone(),
                len: shape.values(),
                runs: calibrate::run_count(&dims),
            }
        })
        .collect()
}
