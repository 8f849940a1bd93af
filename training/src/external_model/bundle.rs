//! `training split MODEL --calibrate INPUTS`: turns the halves into a bundle for the edge encoder and the
//! cloud decoder.
//!
//! ```text
//! halves ─fix─► encoder ─► latents ─┬─ sensitivities ─► calibrate ─► bundle ─► frames ─► answers
//!                          decoder ─┘        └─ sweep over bits                     └─ report, card
//! ```
//! With 8 or more inputs, every fourth is held out for testing: gains and tables do not use it, and all
//! errors and sizes are measured on these inputs only.

use std::{fs, path::Path};

use lopside_bundle::{Digest, FixedLatentDraft, FixedLatentDraftHead, HeadKind, ModelCost};
use lopside_decoder::Runtime;
use lopside_encoder::source::EncoderInput;
use lopside_onnx::{OnnxError, decode_model, encode_model, proto::ModelProto};

use super::{
    batched::BatchedHalf,
    bundle_report::{BundleReport, HeadReport},
    calibration_inputs::{CalibrationInputs, Normalise},
    card,
    cut_model::CutModel,
    heads::{self, RequestedHeads},
    measure::{self, DecoderBench, LatentStatistics, RatePoint, run_rows},
    options::{BundleOptions, RateTarget},
    round_trip::{FrameFigures, measure_frames},
    tensor::NamedTensor,
};
use crate::{
    Calibration, ExternalModelError, LayerLatents, TrainingError,
    bundle::with_latent_space,
    calibrate::{calibrate_bits, calibrate_bytes, measure_sensitivities, run_count},
    card::DRAFT_CARD,
    engines::OrtModel,
    error::io_error,
};

/// Bits per value at the points of the sweep.
const SWEEP_BITS: [f64; 6] = [2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
/// Maximum number of values of all inputs and latents together; further inputs are ignored.
const MAX_VALUES: usize = 1 << 27;
/// Number of inputs from which on one in [`TEST_INTERVAL`] is held out for testing.
const MIN_HELD_OUT_INPUTS: usize = 8;
/// One input in this many is held out for testing.
const TEST_INTERVAL: usize = 4;

/// Writes the bundle into `out` and measures it.
pub(super) fn make_bundle(
    source: &CutModel<'_>,
    options: &BundleOptions,
    out: &Path,
    runtime: &Runtime,
) -> Result<BundleReport, TrainingError> {
    let labels = read_labels(options.labels.as_deref())?;
    let requested = RequestedHeads { reconstruct: options.reconstruct, labels };
    let prepared = PreparedModel::new(source, options, &requested, runtime)?;
    let heads = heads::build_heads(
        &prepared.outputs,
        &prepared.latents,
        &prepared.calibration_inputs.spec,
        &requested,
        known_cost(&source.halves.decoder_cost)?,
    )?;
    let classes = heads.iter().map(|head| matches!(head.kind, HeadKind::Classify { .. })).collect();
    let mut session = prepared.decoder.open(runtime)?;
    let sensitivities = measure_sensitivities(&mut session, &prepared.calibrated)?;
    let mut bench = prepared.open_bench(session, classes)?;
    let mut sweep = Vec::with_capacity(SWEEP_BITS.len());
    for bits in SWEEP_BITS {
        sweep.push(bench.measure_point(bits, &calibrate_bits(&prepared.calibrated, &sensitivities, bits)?)?);
    }
    let calibration = match options.rate {
        RateTarget::FrameBytes(bytes) => calibrate_bytes(&prepared.calibrated, &sensitivities, bytes)?,
        RateTarget::BitsPerValue(bits) => calibrate_bits(&prepared.calibrated, &sensitivities, bits)?,
    };
    let draft = prepared.draft_bundle(source, options, heads, &calibration)?;
    draft.write(out, DRAFT_CARD)?;
    let frames = measure_frames(out, &bench, &prepared.tests(), runtime)?;
    let report = prepared.bundle_report(source, &draft, sweep, frames)?;
    draft.write(out, &card::write_card(&report, source))?;
    Ok(report)
}

fn known_cost(cost: &Result<lopside_onnx::Cost, OnnxError>) -> Result<ModelCost, TrainingError> {
    let cost = cost.clone()?;
    Ok(ModelCost { parameters: cost.parameters, macs: cost.macs })
}

/// The verified halves with batch dimensions, and the latents of the inputs.
struct PreparedModel {
    calibration_inputs: CalibrationInputs,
    rows: InputSplit,
    encoder: BatchedHalf,
    decoder: BatchedHalf,
    latents: Vec<NamedTensor>,
    outputs: Vec<NamedTensor>,
    /// Names of outputs that are not 32-bit floats.
    left_out: Vec<String>,
    calibrated: Vec<LayerLatents>,
    tested: Vec<LayerLatents>,
}

impl PreparedModel {
    fn new(
        source: &CutModel<'_>,
        options: &BundleOptions,
        requested: &RequestedHeads,
        runtime: &Runtime,
    ) -> Result<Self, TrainingError> {
        let cut = &source.halves.verification.latents;
        let latents = cut
            .iter()
            .map(|latent| NamedTensor::new(&latent.tensor, &latent.dims))
            .collect::<Result<Vec<_>, _>>()?;
        let values_per_input = source.input.values() + latents.iter().map(NamedTensor::values).sum::<usize>();
        let normalise = Normalise { mean: options.mean.clone(), std: options.std.clone() };
        let max_inputs = (MAX_VALUES / values_per_input).max(2);
        let calibration_inputs =
            CalibrationInputs::read(&options.inputs, &source.input, &normalise, max_inputs)?;
        let (count, samples) = (calibration_inputs.inputs.len(), calibration_inputs.samples());
        let encoder = fix_encoder(source, &latents, first_two(&samples, count), runtime)?;
        let latent_values = run_rows(&mut encoder.open(runtime)?, &[&samples], count)?;
        let first_items: Vec<Vec<f32>> =
            latent_values.iter().map(|values| first_two(values, count)).collect();
        let (decoder, outputs, left_out) = fix_decoder(source, &latents, &first_items, requested, runtime)?;
        let rows = InputSplit::new(count);
        let calibrated = select_latents(&latents, &latent_values, &rows.calibrated);
        let tested = select_latents(&latents, &latent_values, &rows.tested);
        Ok(Self {
            calibration_inputs,
            rows,
            encoder,
            decoder,
            latents,
            outputs,
            left_out,
            calibrated,
            tested,
        })
    }

    fn open_bench(
        &self,
        mut decoder: OrtModel,
        classes: Vec<bool>,
    ) -> Result<DecoderBench<'_>, TrainingError> {
        let slices: Vec<&[f32]> = self.tested.iter().map(|layer| layer.values.as_slice()).collect();
        let count = self.rows.tested.len();
        let expected = run_rows(&mut decoder, &slices, count)?;
        let Self { latents, outputs, tested: layers, .. } = self;
        Ok(DecoderBench { decoder, latents, outputs, layers, count, expected, classes })
    }

    fn tests(&self) -> Vec<&EncoderInput> {
        self.rows.tested.iter().map(|&row| &self.calibration_inputs.inputs[row]).collect()
    }

    /// Builds the draft of the bundle; its heads carry the latent-space id.
    fn draft_bundle(
        &self,
        source: &CutModel<'_>,
        options: &BundleOptions,
        heads: Vec<FixedLatentDraftHead>,
        calibration: &Calibration,
    ) -> Result<FixedLatentDraft, TrainingError> {
        let mut draft = FixedLatentDraft {
            name: options.name.as_deref().map_or_else(|| bundle_name(source.path), str::to_owned),
            description: format!("{} cut at {}", file_name(source.path), source.at.join(", ")),
            input: self.calibration_inputs.spec.clone(),
            encoder: encode_model(&self.encoder.model),
            input_tensor: source.input.tensor_spec(),
            encoder_cost: known_cost(&source.halves.encoder_cost)?,
            latent: measure::latent_specs(&self.latents, calibration),
            tables: calibration.tables.clone(),
            heads,
        };
        let model = with_latent_space(&encode_model(&self.decoder.model), &draft.latent_space().to_string())?;
        draft.heads.iter_mut().for_each(|head| head.model.clone_from(&model));
        Ok(draft)
    }

    fn bundle_report(
        &self,
        source: &CutModel<'_>,
        draft: &FixedLatentDraft,
        sweep: Vec<RatePoint>,
        chosen: FrameFigures,
    ) -> Result<BundleReport, TrainingError> {
        let ranges = self.latents.iter().zip(&self.calibrated);
        Ok(BundleReport {
            name: draft.name.clone(),
            latent_space: draft.latent_space().to_string(),
            model: file_name(source.path),
            sha256: Digest::of(&fs::read(source.path).map_err(io_error(source.path))?),
            calibration_inputs: self.rows.calibrated.len(),
            test_inputs: self.rows.tested.len(),
            held_out: self.rows.held_out,
            one_by_one: self.decoder.single_item_reason.clone(),
            left_out: self.left_out.clone(),
            layers: ranges.map(|(latent, layer)| LatentStatistics::from_layer(latent, layer)).collect(),
            heads: draft.heads.iter().map(HeadReport::from_draft).collect(),
            sweep,
            chosen,
        })
    }
}

/// Rows of inputs for calibration and for testing.
struct InputSplit {
    calibrated: Vec<usize>,
    tested: Vec<usize>,
    held_out: bool,
}

impl InputSplit {
    fn new(count: usize) -> Self {
        if count < MIN_HELD_OUT_INPUTS {
            let rows: Vec<usize> = (0..count).collect();
            return Self { calibrated: rows.clone(), tested: rows, held_out: false };
        }
        let (tested, calibrated) = (0..count).partition(|row| row % TEST_INTERVAL == TEST_INTERVAL - 1);
        Self { calibrated, tested, held_out: true }
    }
}

/// Selects rows of every tensor of the cut.
fn select_latents(latents: &[NamedTensor], values: &[Vec<f32>], rows: &[usize]) -> Vec<LayerLatents> {
    latents.iter().zip(values).map(|(latent, values)| select_rows(latent, values, rows)).collect()
}

/// Selects rows of a tensor.
fn select_rows(latent: &NamedTensor, values: &[f32], rows: &[usize]) -> LayerLatents {
    let len = latent.values();
    let values = rows.iter().flat_map(|row| &values[row * len..(row + 1) * len]).copied().collect();
    LayerLatents { values, len, runs: run_count(&latent.dims) }
}

/// Returns the first two items; for a single item, the item and a copy at half its values.
fn first_two(values: &[f32], count: usize) -> Vec<f32> {
    let item_len = values.len() / count;
    if count > 1 {
        return values[..2 * item_len].to_vec();
    }
    values.iter().copied().chain(values.iter().map(|value| value / 2.0)).collect()
}

fn fix_encoder(
    source: &CutModel<'_>,
    latents: &[NamedTensor],
    items: Vec<f32>,
    runtime: &Runtime,
) -> Result<BatchedHalf, TrainingError> {
    let tensors: Vec<&NamedTensor> = std::iter::once(&source.input).chain(latents).collect();
    let model = decode_model(&source.halves.encoder)?;
    Ok(BatchedHalf::new("the encoder", model, &tensors, &[items], runtime)?)
}

/// Returns the decoder, its outputs, and the names of the outputs left out.
fn fix_decoder(
    source: &CutModel<'_>,
    latents: &[NamedTensor],
    items: &[Vec<f32>],
    requested: &RequestedHeads,
    runtime: &Runtime,
) -> Result<(BatchedHalf, Vec<NamedTensor>, Vec<String>), TrainingError> {
    let mut model = decode_model(&source.halves.decoder)?;
    let left_out = remove_other_outputs(&mut model);
    let mut outputs = Vec::new();
    let names: Vec<String> =
        model.graph.iter().flat_map(|graph| &graph.output).map(|output| output.name().to_owned()).collect();
    for name in names {
        let dims = source.halves.verification.outputs.iter().find(|output| output.tensor == name);
        let mut output = NamedTensor::new(&name, dims.map_or(&[][..], |output| &output.dims))?;
        let is_classifier =
            requested.labels.as_ref().is_some_and(|labels| output.dims == [labels.len() as u32]);
        if is_classifier && let Some(logits) = heads::to_logits(&mut model, &name) {
            output.name = logits;
        }
        outputs.push(output);
    }
    if outputs.is_empty() {
        return Err(ExternalModelError::NoFloatOutput.into());
    }
    let tensors: Vec<&NamedTensor> = latents.iter().chain(&outputs).collect();
    Ok((BatchedHalf::new("the decoder", model, &tensors, items, runtime)?, outputs, left_out))
}

/// Removes outputs that are not 32-bit floats from a model and returns their names.
fn remove_other_outputs(model: &mut ModelProto) -> Vec<String> {
    let Some(graph) = model.graph.as_mut() else { return Vec::new() };
    let (float_outputs, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut graph.output).into_iter().partition(is_float);
    graph.output = float_outputs;
    others.iter().map(|output| output.name().to_owned()).collect()
}

fn is_float(output: &lopside_onnx::proto::ValueInfoProto) -> bool {
    use lopside_onnx::proto::type_proto::Value;
    match output.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(Value::TensorType(tensor)) => tensor.elem_type() == 1,
        _ => false,
    }
}

/// Reads the class names, one per line.
fn read_labels(path: Option<&Path>) -> Result<Option<Vec<String>>, TrainingError> {
    let Some(path) = path else { return Ok(None) };
    let text = fs::read_to_string(path).map_err(io_error(path))?;
    Ok(Some(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Derives the bundle's name from the model's file name.
fn bundle_name(path: &Path) -> String {
    heads::plain_name(&path.file_stem().unwrap_or_default().to_string_lossy(), "model")
}
