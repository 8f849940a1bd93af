//! Verifies a cut: runs the whole model and its halves on the same random inputs.
//!
//! ONNX Runtime compares the model's outputs and the tensors of the cut, which become additional outputs of
//! the whole model. tract, which runs on the edge, is compared on the tensors of the cut. A difference is
//! relative to the largest magnitude of the tensor, so that a softmax over 6,625 classes is held to the same
//! standard as an image. If a sigmoid is close to 0 everywhere, its values are rounding errors of a sum near
//! 1, and a difference of two units in the last place of 1 is accepted.

use std::{
    collections::{HashMap, HashSet},
    panic,
};

use lopside_decoder::Runtime;
use lopside_encoder::ModelPlan;
use lopside_onnx::{Extent, ModelInput, encode_model, proto::ModelProto};
use ort::{
    session::Session,
    value::{DynValue, Tensor, TensorElementType},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{ExternalModelError, ModelError, TrainingError};

/// Maximum difference, relative to the scale of the values.
const TOLERANCE: f32 = 1e-4;
/// Minimum scale of the outputs of a sigmoid or hyperbolic tangent.
const MIN_SATURATING_SCALE: f32 = 2.0 * f32::EPSILON / TOLERANCE;
/// Maximum number of values of all inputs together; a larger number is considered a mistake.
const MAX_VALUES: u64 = 1 << 28;

/// The compared tensors and the differences found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The tensors of the cut.
    pub latents: Vec<ObservedTensor>,
    /// The model's outputs.
    pub outputs: Vec<ObservedTensor>,
    /// Maximum difference in ONNX Runtime, relative to the scale of the values.
    pub onnx_runtime_difference: f32,
    /// Result of the encoder in tract.
    pub tract: Agreement,
}

/// A tensor of the cut or an output, with the observed shape.
#[derive(Debug, Clone)]
pub struct ObservedTensor {
    /// The name of the tensor.
    pub tensor: String,
    /// The observed dimensions, including the batch.
    pub dims: Vec<i64>,
}

/// The result of an encoder in tract.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreement {
    /// The results agree.
    Within {
        /// Maximum difference, relative to the scale of the values.
        difference: f32,
    },
    /// tract cannot run the encoder.
    Unsupported {
        /// The reason.
        reason: String,
    },
}

/// Runs `whole` and its halves (encoder, decoder) on random inputs of these shapes. `whole` gets additional
/// outputs.
pub(super) fn verify_halves(
    mut whole: ModelProto,
    (encoder, decoder): (&ModelProto, &ModelProto),
    inputs: &[ModelInput],
    runtime: &Runtime,
) -> Result<Verification, TrainingError> {
    let input_values = random_inputs(inputs)?;
    let at = output_names(encoder);
    let whole_outputs = output_names(&whole);
    let saturating = saturating_tensors(&whole);
    let cut = encoder.graph.iter().flat_map(|graph| graph.output.iter().cloned());
    whole.graph.iter_mut().for_each(|graph| graph.output.extend(cut.clone()));
    let expected = {
        let bytes = encode_model(&whole);
        drop(whole);
        run_model(runtime, "the whole model", &bytes, &input_values)?
    };
    let encoder_bytes = encode_model(encoder);
    let latents = run_model(runtime, "the encoder", &encoder_bytes, &input_values)?;
    let decoder_outputs = run_model(runtime, "the decoder", &encode_model(decoder), &latents)?;

    let mut worst = 0.0_f32;
    for (half, names, found) in [("encoder", &at, &latents), ("decoder", &whole_outputs, &decoder_outputs)] {
        for name in names {
            let description = format!("{name} of the whole model and of the {half} in ONNX Runtime");
            let (a, b) = (float_values(&expected, name)?, float_values(found, name)?);
            worst = worst.max(compare_values(&description, &a, &b, min_scale(&saturating, name))?);
        }
    }
    let at: Vec<ObservedTensor> = at.iter().map(|name| observe_tensor(&latents, name)).collect();
    let tract = run_in_tract(encoder, &at, inputs, &input_values, |name, found| {
        let description = format!("{name} in tract and in ONNX Runtime");
        compare_values(&description, &float_values(&expected, name)?, found, min_scale(&saturating, name))
    })?;
    Ok(Verification {
        latents: at,
        outputs: whole_outputs.iter().map(|name| observe_tensor(&decoder_outputs, name)).collect(),
        onnx_runtime_difference: worst,
        tract,
    })
}

type TensorMap = HashMap<String, DynValue>;

fn output_names(model: &ModelProto) -> Vec<String> {
    model.graph.iter().flat_map(|graph| graph.output.iter().map(|output| output.name().to_owned())).collect()
}

/// Returns a tensor with its shape, which is empty if the tensor is missing.
fn observe_tensor(tensors: &TensorMap, name: &str) -> ObservedTensor {
    let dims = tensors.get(name).map_or(Vec::new(), |value| value.shape().to_vec());
    ObservedTensor { tensor: name.to_owned(), dims }
}

/// Draws seeded values of these inputs' types: floats from -1 to 1, small integers, booleans.
fn random_inputs(inputs: &[ModelInput]) -> Result<TensorMap, TrainingError> {
    let mut rng = StdRng::seed_from_u64(0);
    let mut total_values = 0_u64;
    let mut tensors = TensorMap::new();
    for input in inputs {
        let dims = fixed_dims(input)?;
        let count = dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim.unsigned_abs()));
        total_values = total_values.saturating_add(count.unwrap_or(u64::MAX));
        if total_values > MAX_VALUES {
            let reason = format!("the inputs would have more than {MAX_VALUES} values: bind smaller numbers");
            let argument = format!("{}={dims:?}", input.name);
            return Err(ExternalModelError::InvalidBinding { argument, reason }.into());
        }
        let tensor = random_tensor(&mut rng, input, dims, count.unwrap_or(0) as usize)?;
        tensors.insert(input.name.clone(), tensor);
    }
    Ok(tensors)
}

fn fixed_dims(input: &ModelInput) -> Result<Vec<i64>, ExternalModelError> {
    let Some(dims) = &input.dims else {
        return Err(unbound_error(input, "the model does not declare a shape"));
    };
    dims.iter()
        .map(|dim| match dim {
            Extent::Fixed(extent) => {
                i64::try_from(*extent).map_err(|_| unbound_error(input, &format!("{dim} is too large")))
            }
            open => Err(unbound_error(input, &format!("dimension `{open}` is open"))),
        })
        .collect()
}

fn unbound_error(input: &ModelInput, problem: &str) -> ExternalModelError {
    ExternalModelError::InvalidBinding {
        argument: format!("{}=…", input.name),
        reason: format!(
            "{problem}: bind it to a number, because the cut is verified on inputs of a fixed shape"
        ),
    }
}

fn random_tensor(
    rng: &mut StdRng,
    input: &ModelInput,
    dims: Vec<i64>,
    count: usize,
) -> Result<DynValue, TrainingError> {
    let drawn = draw_tensor(rng, input.element_type, dims, count)
        .map_err(|error| model_error("a random input", &error))?;
    Ok(drawn.ok_or_else(|| ExternalModelError::UnsupportedInputType {
        input: input.name.clone(),
        element_type: input.element_type,
    })?)
}

/// Draws a tensor of an ONNX element type, or returns `None` for an unsupported type.
fn draw_tensor(
    rng: &mut StdRng,
    element_type: i32,
    dims: Vec<i64>,
    count: usize,
) -> ort::Result<Option<DynValue>> {
    Ok(Some(match element_type {
        1 => {
            let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
            Tensor::from_array((dims, values))?.into_dyn()
        }
        11 => {
            let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
            Tensor::from_array((dims, values))?.into_dyn()
        }
        2 => {
            let values: Vec<u8> = (0..count).map(|_| rng.random()).collect();
            Tensor::from_array((dims, values))?.into_dyn()
        }
        6 => {
            let values: Vec<i32> = (0..count).map(|_| rng.random_range(0..2)).collect();
            Tensor::from_array((dims, values))?.into_dyn()
        }
        7 => {
            let values: Vec<i64> = (0..count).map(|_| rng.random_range(0..2)).collect();
            Tensor::from_array((dims, values))?.into_dyn()
        }
        9 => {
            let values: Vec<bool> = (0..count).map(|_| rng.random()).collect();
            Tensor::from_array((dims, values))?.into_dyn()
        }
        _ => return Ok(None),
    }))
}

/// Runs a model and returns its outputs. `inputs` holds the input tensors by name.
fn run_model(
    runtime: &Runtime,
    name: &str,
    model: &[u8],
    inputs: &TensorMap,
) -> Result<TensorMap, ModelError> {
    let mut session = runtime
        .session(model)
        .map_err(|reason| ModelError::Failed { model: format!("{name} in ONNX Runtime"), reason })?;
    run_session(&mut session, inputs).map_err(|error| model_error(&format!("{name} in ONNX Runtime"), &error))
}

fn run_session(session: &mut Session, inputs: &TensorMap) -> ort::Result<TensorMap> {
    let names: Vec<String> = session.inputs().iter().map(|input| input.name().to_owned()).collect();
    let session_inputs = names.iter().filter_map(|name| Some((name.as_str(), inputs.get(name)?)));
    let outputs = session.run(session_inputs.collect::<Vec<_>>())?;
    Ok(outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn model_error(model: &str, error: &ort::Error) -> ModelError {
    ModelError::Failed { model: model.to_owned(), reason: error.to_string() }
}

/// Converts the values of a tensor to `f32` for comparison.
fn float_values(tensors: &TensorMap, name: &str) -> Result<Vec<f32>, ModelError> {
    let value =
        tensors.get(name).ok_or_else(|| tensor_error(name, "ONNX Runtime did not return it".to_owned()))?;
    macro_rules! as_floats {
        ($kind:ty) => {
            value.try_extract_tensor::<$kind>().map(|(_, data)| data.iter().map(|&v| v as f32).collect())
        };
    }
    let values: ort::Result<Vec<f32>> = match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => as_floats!(f32),
        Some(TensorElementType::Float64) => as_floats!(f64),
        Some(TensorElementType::Int64) => as_floats!(i64),
        Some(TensorElementType::Int32) => as_floats!(i32),
        Some(TensorElementType::Uint8) => as_floats!(u8),
        Some(TensorElementType::Int8) => as_floats!(i8),
        Some(TensorElementType::Bool) => value
            .try_extract_tensor::<bool>()
            .map(|(_, data)| data.iter().map(|&flag| if flag { 1.0 } else { 0.0 }).collect()),
        other => {
            let reason = format!("its type, {other:?}, cannot be compared: cut at another tensor");
            return Err(tensor_error(name, reason));
        }
    };
    values.map_err(|error| tensor_error(name, error.to_string()))
}

fn tensor_error(name: &str, reason: String) -> ModelError {
    ModelError::UnreadableTensor { tensor: name.to_owned(), reason }
}

/// Runs the encoder as the edge does; its outputs arrive as one concatenated row.
fn run_in_tract(
    encoder: &ModelProto,
    at: &[ObservedTensor],
    inputs: &[ModelInput],
    input_values: &TensorMap,
    difference: impl Fn(&str, &[f32]) -> Result<f32, ModelError>,
) -> Result<Agreement, TrainingError> {
    let [input] = inputs else {
        let reason = format!("an edge encoder reads one tensor, but this one reads {}", inputs.len());
        return Ok(Agreement::Unsupported { reason });
    };
    if input.element_type != 1 {
        let reason = format!("an edge encoder reads f32, but `{}` has another type", input.name);
        return Ok(Agreement::Unsupported { reason });
    }
    let dims: Vec<usize> = fixed_dims(input)?.iter().map(|&dim| dim as usize).collect();
    let (bytes, input_samples) = (encode_model(encoder), float_values(input_values, &input.name)?);
    // tract may panic on external models for which other readers return errors.
    let result = panic::catch_unwind(|| ModelPlan::new(&bytes, dims)?.run(&input_samples));
    let found = match result {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Ok(Agreement::Unsupported { reason: error.to_string() }),
        Err(_) => return Ok(Agreement::Unsupported { reason: "tract panicked on this model".to_owned() }),
    };
    let mut remaining = found.as_slice();
    let mut worst = 0.0_f32;
    for latent in at {
        let len = latent.dims.iter().map(|&dim| dim.unsigned_abs() as usize).product::<usize>();
        let (values, others) = remaining.split_at(len.min(remaining.len()));
        worst = worst.max(difference(&latent.tensor, values)?);
        remaining = others;
    }
    if remaining.is_empty() {
        Ok(Agreement::Within { difference: worst })
    } else {
        let reason = "tract returned more values than ONNX Runtime".to_owned();
        Ok(Agreement::Unsupported { reason })
    }
}

/// Returns the tensors of functions that saturate at 1 or -1.
fn saturating_tensors(model: &ModelProto) -> HashSet<String> {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let bounded = nodes.filter(|node| matches!(node.op_type(), "Sigmoid" | "HardSigmoid" | "Tanh"));
    bounded.flat_map(|node| node.output.iter().cloned()).collect()
}

/// Returns the minimum scale of the values of a tensor.
fn min_scale(saturating: &HashSet<String>, name: &str) -> f32 {
    if saturating.contains(name) { MIN_SATURATING_SCALE } else { f32::MIN_POSITIVE }
}

/// Returns the largest difference, relative to the largest magnitude of `expected` or to `min_scale` if that is
/// larger. Fails above [`TOLERANCE`].
fn compare_values(
    description: &str,
    expected: &[f32],
    found: &[f32],
    min_scale: f32,
) -> Result<f32, ModelError> {
    if !expected.iter().all(|value| value.is_finite()) {
        return Err(ModelError::NotFinite { what: description.to_owned() });
    }
    let scale = expected.iter().fold(min_scale, |scale, value| scale.max(value.abs()));
    let difference = if expected.len() == found.len() {
        expected
            .iter()
            .zip(found)
            .map(|(a, b)| if b.is_finite() { (a - b).abs() } else { f32::INFINITY })
            .fold(0.0, f32::max)
    } else {
        f32::INFINITY
    };
    let relative = difference / scale;
    if relative <= TOLERANCE {
        Ok(relative)
    } else {
        let description = format!("{description}, with values up to {scale:.1e}");
        Err(ModelError::Disagreement { what: description, difference: relative, limit: TOLERANCE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_scale() {
        assert!(compare_values("x", &[1000.0, 1.0], &[1000.05, 1.0], f32::MIN_POSITIVE).is_ok());
        assert!(compare_values("x", &[], &[], f32::MIN_POSITIVE).is_ok());
        assert!(compare_values("x", &[0.0], &[0.0], f32::MIN_POSITIVE).is_ok());
        for found in [&[0.001, 0.002][..], &[0.001], &[0.001, f32::NAN]] {
            let result = compare_values("x", &[0.001, 0.001], found, f32::MIN_POSITIVE);
            assert!(matches!(result, Err(ModelError::Disagreement { .. })), "{found:?}");
        }
        let noise = (&[1e-5, 2e-6][..], &[1.01e-5, 2e-6][..]);
        assert!(compare_values("x", noise.0, noise.1, f32::MIN_POSITIVE).is_err());
        assert!(compare_values("x", noise.0, noise.1, MIN_SATURATING_SCALE).is_ok());
        assert!(compare_values("x", &[0.9, 2e-6], &[0.9, 1e-3], MIN_SATURATING_SCALE).is_err());
        assert!(matches!(
            compare_values("x", &[f32::NAN], &[f32::NAN], f32::MIN_POSITIVE),
            Err(ModelError::NotFinite { .. })
        ));
    }
}
