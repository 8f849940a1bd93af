//! Checks an export: the whole model equals decoder ∘ encoder in ONNX Runtime and in tract, and both engines
//! agree.

use lopside_decoder::Runtime;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    ModelError,
    definition::Blueprint,
    engines::{OrtModel, TensorValues, TractModel},
    split::{CLASSIFIER_FILE, DECODER_FILE, ENCODER_FILE, Halves, WHOLE_FILE},
};

/// Maximum difference between two outputs, relative to their largest magnitude or to 1, whichever is larger.
pub(crate) const TOLERANCE: f32 = 1e-4;
/// Number of input samples compared.
const SAMPLES: usize = 16;

/// Runs the whole model and the halves on uniform noise in both engines and returns the largest difference.
///
/// # Errors
/// [`ModelError::Disagreement`] when any pair differs by more than [`TOLERANCE`].
pub(crate) fn check_export(
    blueprint: &Blueprint,
    whole: &[u8],
    halves: &Halves,
    runtime: &Runtime,
) -> Result<f32, ModelError> {
    let input = uniform_noise(blueprint);
    let whole_ort = run_ort(runtime, WHOLE_FILE, whole, std::slice::from_ref(&input))?;
    let halves_ort = run_halves(halves, &input, |name, model, inputs| run_ort(runtime, name, model, inputs))?;
    let whole_tract = run_tract(WHOLE_FILE, whole, std::slice::from_ref(&input))?;
    let halves_tract = run_halves(halves, &input, run_tract)?;
    let comparisons = [
        ("whole model and decoder∘encoder in ONNX Runtime", &whole_ort, &halves_ort),
        ("whole model and decoder∘encoder in tract", &whole_tract, &halves_tract),
        ("whole model in ONNX Runtime and in tract", &whole_ort, &whole_tract),
    ];
    comparisons
        .into_iter()
        .try_fold(0.0, |worst: f32, (description, a, b)| Ok(worst.max(compare_outputs(description, a, b)?)))
}

/// Returns [`SAMPLES`] input samples, uniform from 0 to 1.
fn uniform_noise(blueprint: &Blueprint) -> TensorValues {
    let mut rng = StdRng::seed_from_u64(0);
    let dims: Vec<usize> = std::iter::once(SAMPLES).chain(blueprint.input.dims()).collect();
    let values = (0..dims.iter().product()).map(|_| rng.random::<f32>()).collect();
    TensorValues { dims, values }
}

fn run_ort(
    runtime: &Runtime,
    name: &'static str,
    model: &[u8],
    inputs: &[TensorValues],
) -> Result<Vec<TensorValues>, ModelError> {
    OrtModel::new(runtime, name, model)?.run_each(inputs)
}

fn run_tract(
    name: &'static str,
    model: &[u8],
    inputs: &[TensorValues],
) -> Result<Vec<TensorValues>, ModelError> {
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims.clone()).collect();
    TractModel::new(name, model, &dims)?.run_each(inputs)
}

/// Runs the decoder and the classifier on the encoder's latents and returns their outputs in the order of the
/// whole model's outputs.
fn run_halves(
    halves: &Halves,
    input: &TensorValues,
    run: impl Fn(&'static str, &[u8], &[TensorValues]) -> Result<Vec<TensorValues>, ModelError>,
) -> Result<Vec<TensorValues>, ModelError> {
    let latents = run(ENCODER_FILE, &halves.encoder, std::slice::from_ref(input))?;
    let mut outputs = run(DECODER_FILE, &halves.decoder, &latents)?;
    if let Some(classifier) = &halves.classifier {
        outputs.extend(run(CLASSIFIER_FILE, classifier, &latents[..1])?);
    }
    Ok(outputs)
}

/// Returns the largest relative difference between outputs and checks their shapes and [`TOLERANCE`].
pub(crate) fn compare_outputs(
    description: &str,
    a: &[TensorValues],
    b: &[TensorValues],
) -> Result<f32, ModelError> {
    check_within(TOLERANCE, description, a, b)
}

/// Like [`compare_outputs`], with another limit.
pub(crate) fn check_within(
    limit: f32,
    description: &str,
    a: &[TensorValues],
    b: &[TensorValues],
) -> Result<f32, ModelError> {
    let same_shapes = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.dims == b.dims);
    let differences = a.iter().zip(b).map(|(a, b)| relative_difference(&a.values, &b.values));
    let difference = if same_shapes { differences.fold(0.0, f32::max) } else { f32::INFINITY };
    if difference <= limit {
        Ok(difference)
    } else {
        Err(ModelError::Disagreement { what: description.to_owned(), difference, limit })
    }
}

/// Returns the largest difference relative to the largest magnitude or 1; infinite if a value is not finite.
fn relative_difference(a: &[f32], b: &[f32]) -> f32 {
    let largest = a.iter().chain(b).map(|value| value.abs()).fold(1.0, f32::max);
    let finite = a.iter().chain(b).all(|value| value.is_finite());
    if finite {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
    } else {
        f32::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[f32]) -> Vec<TensorValues> {
        vec![TensorValues { dims: vec![1, values.len()], values: values.to_vec() }]
    }

    #[test]
    fn differences_missing_values_and_nan_are_refused() {
        let found = compare_outputs("x", &values(&[0.5, 0.25]), &values(&[0.5, 0.250_05])).unwrap();
        assert!(found > 4e-5 && found < 6e-5, "{found}");
        for other in [&[0.5, 0.2502][..], &[0.5], &[0.5, f32::NAN]] {
            let found = compare_outputs("x", &values(&[0.5, 0.25]), &values(other));
            assert!(matches!(found, Err(ModelError::Disagreement { .. })), "{other:?}");
        }
        assert!(compare_outputs("x", &values(&[0.5]), &[]).is_err());
    }

    #[test]
    fn large_values_may_differ_by_more() {
        assert!(compare_outputs("x", &values(&[1000.0]), &values(&[1000.05])).is_ok());
    }
}
