//! `training split MODEL.onnx`: finds the cuts of an external model and splits it into two halves.
//!
//! ```text
//! file ─load─► model ─► cuts ─pick─► names ─split_at─► halves ─verify─► write
//!                         └─list─► table or JSON
//! ```
//! Nothing is written before the whole model and its halves have computed the same in ONNX Runtime, and the
//! encoder in tract, too. With `--calibrate` the halves become a bundle.

mod bind;
mod bundle;
mod card;
mod fixed;
mod given;
mod heads;
mod list;
mod load;
mod measure;
mod report;
mod tensor;
mod through;
mod verify;

use std::{fs, path::Path};

use lopside_onnx::{
    Cost, CutBudget, Dim, Extent, ModelInput, OnnxError, encode_model, find_cuts, model_cost, model_inputs,
    pick_cut, proto::ModelProto, set_dims, split_at,
};

use serde::Serialize;

pub use self::verify::{Agreement, Verification};
use self::{
    bind::Bindings,
    bundle::{BundleReport, ExternalModel},
    list::Listing,
    report::CutReport,
    tensor::NamedTensor,
};
use crate::{
    TrainingError,
    cli::UserModelArgs,
    engines,
    error::io_error,
    files,
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
pub(crate) fn run(args: &UserModelArgs, path: &Path, onnxruntime: &Path) -> Result<(), TrainingError> {
    let model = load::load_model(path)?;
    let bindings = Bindings::new(&model_inputs(&model, &[])?, &args.bind)?;
    let Some(at) = pick_tensors(args, &model, &bindings)? else {
        let cuts = find_cuts(&model, &bindings.symbols())?;
        let listing = Listing::new(&model_inputs(&model, &bindings.symbols())?, &bindings, &cuts);
        let text = if args.json { list::to_json(&listing)? } else { listing.table(args.all) };
        print!("{text}");
        return Ok(());
    };
    let runtime = engines::load_cpu_runtime(onnxruntime)?;
    let read = model_inputs(&model, &bindings.symbols())?;
    let halves = verified_halves(model, &at, &bindings, &runtime)?;
    if let (Agreement::Unsupported { reason }, false) = (&halves.verification.tract, args.allow_no_tract) {
        return Err(TrainingError::TractUnsupported { reason: reason.clone() });
    }
    let report = CutReport::new(&at, &halves);
    if args.bundle.calibrate.is_none() {
        write_halves(&halves, &args.out)?;
        return print_report(args.json, &report, || report.text(&args.out));
    }
    let source =
        ExternalModel { path, at: &at, halves: &halves, input: only_input(&read)?, command: command_line() };
    let made = bundle::make_bundle(&source, &args.bundle, &args.out, &runtime)?;
    let whole = SplitReport { cut: &report, bundle: &made };
    files::replace_file(&args.out.join("split.json"), list::to_json(&whole)?.as_bytes())?;
    print_report(args.json, &whole, || made.text(&args.out))
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
    let text = if json { list::to_json(report)? } else { text() };
    print!("{text}");
    Ok(())
}

/// Returns the model's only input, without its batch. Fails for several inputs, because an edge encoder reads
/// one.
fn only_input(inputs: &[ModelInput]) -> Result<NamedTensor, TrainingError> {
    let [input] = inputs else {
        let reason = format!("it has {} inputs, but an edge encoder reads exactly one", inputs.len());
        return Err(TrainingError::ModelFailed { model: "the model".into(), reason });
    };
    let dims = input.dims.iter().flatten().map(|dim| match dim {
        Extent::Fixed(extent) => i64::try_from(*extent).unwrap_or(0),
        _ => 0,
    });
    NamedTensor::new(&input.name, &dims.collect::<Vec<_>>())
}

/// Returns the command line, for the model card.
fn command_line() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| quote_argument(&argument.to_string_lossy()));
    std::iter::once("training".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Quotes an argument for a shell, if it needs quotes.
fn quote_argument(argument: &str) -> String {
    let is_plain =
        argument.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./=,:+@".contains(letter));
    if is_plain && !argument.is_empty() {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}

/// Cuts an external model at these tensors and verifies on random inputs that the halves compute the same as
/// the whole. `bind` binds numbers to open dimensions, as `SYMBOL=N`, `INPUT.AXIS=N` or `INPUT=N,N,…`; an
/// unbound first dimension is 1. `onnxruntime` is the path of the library.
///
/// # Errors
/// [`TrainingError::Onnx`] for an invalid cut, [`TrainingError::InvalidBinding`] for dimensions without a number,
/// [`TrainingError::Disagreement`] when a value differs by more than 1e-4 relative to the scale of its
/// tensor, [`TrainingError::ModelFailed`] when ONNX Runtime cannot run a model.
pub fn split(
    model: ModelProto,
    at: &[String],
    bind: &[String],
    onnxruntime: &Path,
) -> Result<VerifiedHalves, TrainingError> {
    let bindings = Bindings::new(&model_inputs(&model, &[])?, bind)?;
    verified_halves(model, at, &bindings, &engines::load_cpu_runtime(onnxruntime)?)
}

/// Returns the tensors to cut at: the named ones, or the best cut within the budget. Returns `None` if the
/// cuts are to be listed.
fn pick_tensors(
    args: &UserModelArgs,
    model: &ModelProto,
    bindings: &Bindings,
) -> Result<Option<Vec<String>>, TrainingError> {
    let budget = args.budget_mac.map(CutBudget::EncoderMacs).or(args.max_bytes.map(CutBudget::LatentBytes));
    match budget {
        None if args.at.is_empty() => Ok(None),
        None => Ok(Some(args.at.clone())),
        Some(budget) => {
            let cuts = find_cuts(model, &bindings.symbols())?;
            Ok(Some(vec![pick_cut(&cuts, budget)?.tensor.clone()]))
        }
    }
}

fn verified_halves(
    model: ModelProto,
    at: &[String],
    bindings: &Bindings,
    runtime: &cloud_decoder::Runtime,
) -> Result<VerifiedHalves, TrainingError> {
    let names: Vec<&str> = at.iter().map(String::as_str).collect();
    let (encoder, decoder) = split_at(&model, &names)?;
    let symbols = bindings.symbols();
    let verification =
        verify::verify_halves(model, (&encoder, &decoder), &model_inputs(&encoder, &symbols)?, runtime)?;
    let (encoder_cost, bytes) = (model_cost(&encoder, &symbols), encode_model(&decoder));
    // Observed shapes are more specific than shapes inferred for all inputs.
    let mut decoder = decoder;
    for latent in &verification.latents {
        let dims: Vec<Dim> = latent.dims.iter().map(|&dim| dim.into()).collect();
        set_dims(&mut decoder, &latent.tensor, &dims);
    }
    let decoder_cost = model_cost(&decoder, &symbols);
    Ok(VerifiedHalves {
        encoder: encode_model(&encoder),
        decoder: bytes,
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
