//! `training split MODEL.onnx`: finds the cuts of an external model and splits it into two halves.
//!
//! ```text
//! file ─load─► model ─► cuts ─pick─► names ─split_at─► halves ─verify─► write
//!                         └─list─► table or JSON
//! ```
//! Nothing is written before the whole model and its halves have computed the same in ONNX Runtime, and the
//! encoder in tract, too. With `--calibrate` the halves become a bundle.

mod batched;
mod bind;
mod bundle;
mod bundle_report;
mod calibration_inputs;
mod card;
mod cut_model;
mod cut_report;
mod heads;
mod list;
mod load;
mod measure;
mod options;
mod round_trip;
mod tensor;
mod verify;

use std::{fs, path::Path};

use lopside_onnx::{
    Cost, Dim, Extent, ModelInput, OnnxError, encode_model, find_cuts, model_cost, model_inputs, pick_cut,
    proto::ModelProto, set_dims, split_at,
};

use serde::Serialize;

pub(crate) use self::options::{BundleOptions, CutChoice, RateTarget, SplitOptions, WithoutTract};
pub use self::verify::{Agreement, Verification};
use self::{
    bind::Bindings, bundle_report::BundleReport, cut_model::CutModel, cut_report::CutReport, list::Listing,
    tensor::NamedTensor,
};
use crate::{
    ExternalModelError, TrainingError, engines,
    error::io_error,
    files,
    json::to_json,
    split::{DECODER_FILE, ENCODER_FILE},
};

/// Both halves of a model, verified against the whole model.
#[derive(Debug)]
pub struct VerifiedHalves {
    /// `encoder.onnx`: from the model's inputs to the tensors of the cut.
    pub encoder: Vec<u8>,
    /// `decoder.onnx`: from the tensors of the cut to the model's outputs.
    pub decoder: Vec<u8>,
    /// Result of the verification.
    pub verification: Verification,
    /// Cost of the encoder, or the error if a shape is unknown.
    pub encoder_cost: Result<Cost, OnnxError>,
    /// Cost of the decoder, or the error if a shape is unknown.
    pub decoder_cost: Result<Cost, OnnxError>,
}

/// Runs `training split MODEL.onnx`.
pub(crate) fn run(options: &SplitOptions) -> Result<(), TrainingError> {
    let model = load::load_model(&options.model)?;
    let bindings = Bindings::new(&model_inputs(&model, &[])?, &options.bind)?;
    let Some(cut) = &options.cut else { return list_cuts(&model, &bindings, options) };
    let at = pick_tensors(cut, &model, &bindings)?;
    let runtime = engines::load_cpu_runtime(&options.onnxruntime)?;
    let bound_inputs = model_inputs(&model, &bindings.symbols())?;
    let halves = verified_halves(model, &at, &bindings, &runtime)?;
    if let (Agreement::Unsupported { reason }, WithoutTract::Refuse) =
        (&halves.verification.tract, options.without_tract)
    {
        return Err(ExternalModelError::TractUnsupported { reason: reason.clone() }.into());
    }
    let report = CutReport::new(&at, &halves);
    let Some(bundle) = &options.bundle else {
        write_halves(&halves, &options.out)?;
        return print_report(options.json, &report, || report.text(&options.out));
    };
    let source = CutModel {
        path: &options.model,
        at: &at,
        halves: &halves,
        input: only_input(&bound_inputs)?,
        command: &options.command,
    };
    let bundle_report = bundle::make_bundle(&source, bundle, &options.out, &runtime)?;
    let split_report = SplitReport { cut: &report, bundle: &bundle_report };
    files::replace_file(&options.out.join("split.json"), to_json(&split_report)?.as_bytes())?;
    print_report(options.json, &split_report, || bundle_report.text(&options.out))
}

fn list_cuts(model: &ModelProto, bindings: &Bindings, options: &SplitOptions) -> Result<(), TrainingError> {
    let cuts = find_cuts(model, &bindings.symbols())?;
    let listing = Listing::new(&model_inputs(model, &bindings.symbols())?, bindings, &cuts);
    print_report(options.json, &listing, || listing.table(options.all))
}

/// A cut and the bundle made from it.
#[derive(Debug, Serialize)]
struct SplitReport<'a> {
    cut: &'a CutReport<'a>,
    bundle: &'a BundleReport,
}

fn print_report(
    json: bool,
    report: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), TrainingError> {
    let text = if json { to_json(report)? } else { text() };
    print!("{text}");
    Ok(())
}

/// Returns the model's only input, without its batch. Fails for several inputs, because an edge encoder reads
/// one.
fn only_input(inputs: &[ModelInput]) -> Result<NamedTensor, ExternalModelError> {
    let [input] = inputs else {
        return Err(ExternalModelError::SeveralInputs { count: inputs.len() });
    };
    let dims = input.dims.iter().flatten().map(|dim| match dim {
        Extent::Fixed(extent) => i64::try_from(*extent).unwrap_or(0),
        _ => 0,
    });
    NamedTensor::new(&input.name, &dims.collect::<Vec<_>>())
}

/// Cuts an external model at these tensors and verifies on random inputs that the halves compute the same as
/// the whole. `bind` binds numbers to open dimensions, as `SYMBOL=N`, `INPUT.AXIS=N` or `INPUT=N,N,…`; an
/// unbound first dimension is 1. `onnxruntime` is the path of the library.
///
/// # Errors
/// [`TrainingError::Onnx`] for an invalid cut, [`ExternalModelError::InvalidBinding`] for dimensions without a
/// number, [`ModelError::Disagreement`](crate::ModelError::Disagreement) when a value differs by more than 1e-4
/// relative to the scale of its tensor, [`ModelError::Failed`](crate::ModelError::Failed) when ONNX Runtime
/// cannot run a model.
pub fn split(
    model: ModelProto,
    at: &[String],
    bind: &[String],
    onnxruntime: &Path,
) -> Result<VerifiedHalves, TrainingError> {
    let bindings = Bindings::new(&model_inputs(&model, &[])?, bind)?;
    verified_halves(model, at, &bindings, &engines::load_cpu_runtime(onnxruntime)?)
}

/// Returns the tensors to cut at: the named ones, or the best cut within the budget.
fn pick_tensors(
    cut: &CutChoice,
    model: &ModelProto,
    bindings: &Bindings,
) -> Result<Vec<String>, TrainingError> {
    match cut {
        CutChoice::Tensors(at) => Ok(at.clone()),
        CutChoice::Budget(budget) => {
            let cuts = find_cuts(model, &bindings.symbols())?;
            Ok(vec![pick_cut(&cuts, *budget)?.tensor.clone()])
        }
    }
}

fn verified_halves(
    model: ModelProto,
    at: &[String],
    bindings: &Bindings,
    runtime: &lopside_decoder::Runtime,
) -> Result<VerifiedHalves, TrainingError> {
    let names: Vec<&str> = at.iter().map(String::as_str).collect();
    let (encoder, decoder) = split_at(&model, &names)?;
    let symbols = bindings.symbols();
    let verification =
        verify::verify_halves(model, (&encoder, &decoder), &model_inputs(&encoder, &symbols)?, runtime)?;
    let (encoder_cost, decoder_bytes) = (model_cost(&encoder, &symbols), encode_model(&decoder));
    // Observed shapes are more specific than shapes inferred for all inputs.
    let mut decoder = decoder;
    for latent in &verification.latents {
        let dims: Vec<Dim> = latent.dims.iter().map(|&dim| dim.into()).collect();
        set_dims(&mut decoder, &latent.tensor, &dims);
    }
    let decoder_cost = model_cost(&decoder, &symbols);
    Ok(VerifiedHalves {
        encoder: encode_model(&encoder),
        decoder: decoder_bytes,
        verification,
        encoder_cost,
        decoder_cost,
    })
}

fn write_halves(halves: &VerifiedHalves, out: &Path) -> Result<(), TrainingError> {
    fs::create_dir_all(out).map_err(io_error(out))?;
    files::replace_file(&out.join(ENCODER_FILE), &halves.encoder)?;
    files::replace_file(&out.join(DECODER_FILE), &halves.decoder)
}
