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
    Budget, Cost, Dim, Extent, Input, OnnxError, cost, cuts, encode, inputs, pick, proto::ModelProto,
    set_dims, split_at,
};

use serde::Serialize;

pub use self::verify::{Agreement, Verification};
use self::{
    bind::Bindings,
    bundle::{Made, Source},
    list::Listing,
    report::Report,
    tensor::Named,
};
use crate::{
    TrainingError,
    cli::OwnArgs,
    engines,
    error::io,
    files,
    split::{DECODER, ENCODER},
};

/// Both halves of a model, verified against the whole model.
#[derive(Debug)]
pub struct Halves {
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
pub(crate) fn run(args: &OwnArgs, path: &Path, onnxruntime: &Path) -> Result<(), TrainingError> {
    let model = load::model(path)?;
    let bindings = Bindings::new(&inputs(&model, &[])?, &args.bind)?;
    let Some(at) = picked(args, &model, &bindings)? else {
        let cuts = cuts(&model, &bindings.symbols())?;
        let listing = Listing::new(&inputs(&model, &bindings.symbols())?, &bindings, &cuts);
        let text = if args.json { list::json(&listing)? } else { listing.table(args.all) };
        print!("{text}");
        return Ok(());
    };
    let runtime = engines::runtime(onnxruntime)?;
    let read = inputs(&model, &bindings.symbols())?;
    let halves = halves(model, &at, &bindings, &runtime)?;
    if let (Agreement::Impossible { reason }, false) = (&halves.verification.tract, args.allow_no_tract) {
        return Err(TrainingError::NoTract { reason: reason.clone() });
    }
    let report = Report::new(&at, &halves);
    if args.bundle.calibrate.is_none() {
        write(&halves, &args.out)?;
        return tell(args.json, &report, || report.text(&args.out));
    }
    let source = Source { path, at: &at, halves: &halves, input: only(&read)?, command: command() };
    let made = bundle::make(&source, &args.bundle, &args.out, &runtime)?;
    let whole = Whole { cut: &report, bundle: &made };
    files::replace(&args.out.join("split.json"), list::json(&whole)?.as_bytes())?;
    tell(args.json, &whole, || made.text(&args.out))
}

/// A cut and the bundle made from it.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    cut: &'a Report<'a>,
    bundle: &'a Made,
}

fn tell(json: bool, report: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), TrainingError> {
    let text = if json { list::json(report)? } else { text() };
    print!("{text}");
    Ok(())
}

/// Returns the model's only input, without its batch. Fails for several inputs, because an edge encoder reads
/// one.
fn only(inputs: &[Input]) -> Result<Named, TrainingError> {
    let dim = |dim: &Extent| match dim {
        Extent::Fixed(extent) => i64::try_from(*extent).unwrap_or(0),
        _ => 0,
    };
    let one =
        |input: &Input| Named::new(&input.name, &input.dims.iter().flatten().map(dim).collect::<Vec<_>>());
    match inputs {
        [input] => one(input),
        inputs => {
            let reason = format!("it has {} inputs, but an edge encoder reads exactly one", inputs.len());
            Err(TrainingError::Model { model: "the model".into(), reason })
        }
    }
}

/// Returns the command line, for the model card.
fn command() -> String {
    let quoted = |argument: String| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:+@".contains(letter);
        if argument.chars().all(plain) && !argument.is_empty() {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    let arguments =
        std::env::args_os().skip(1).map(|argument| quoted(argument.to_string_lossy().into_owned()));
    std::iter::once("training".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Cuts an external model at these tensors and verifies on random inputs that the halves compute the same as
/// the whole. `bind` binds numbers to open dimensions, as `SYMBOL=N`, `INPUT.AXIS=N` or `INPUT=N,N,…`; an
/// unbound first dimension is 1. `onnxruntime` is the path of the library.
///
/// # Errors
/// [`TrainingError::Onnx`] for an invalid cut, [`TrainingError::Binding`] for dimensions without a number,
/// [`TrainingError::Disagreement`] when a value differs by more than 1e-4 relative to the scale of its
/// tensor, [`TrainingError::Model`] when ONNX Runtime cannot run a model.
pub fn split(
    model: ModelProto,
    at: &[String],
    bind: &[String],
    onnxruntime: &Path,
) -> Result<Halves, TrainingError> {
    let bindings = Bindings::new(&inputs(&model, &[])?, bind)?;
    halves(model, at, &bindings, &engines::runtime(onnxruntime)?)
}

/// Returns the tensors to cut at: the named ones, or the best cut within the budget. Returns `None` if the
/// cuts are to be listed.
fn picked(
    args: &OwnArgs,
    model: &ModelProto,
    bindings: &Bindings,
) -> Result<Option<Vec<String>>, TrainingError> {
    let budget = args.budget_mac.map(Budget::Macs).or(args.max_bytes.map(Budget::Bytes));
    match budget {
        None if args.at.is_empty() => Ok(None),
        None => Ok(Some(args.at.clone())),
        Some(budget) => {
            let cuts = cuts(model, &bindings.symbols())?;
            Ok(Some(vec![pick(&cuts, budget)?.tensor.clone()]))
        }
    }
}

fn halves(
    model: ModelProto,
    at: &[String],
    bindings: &Bindings,
    runtime: &cloud_decoder::Runtime,
) -> Result<Halves, TrainingError> {
    let names: Vec<&str> = at.iter().map(String::as_str).collect();
    let (encoder, decoder) = split_at(&model, &names)?;
    let symbols = bindings.symbols();
    let verification = verify::verify(model, (&encoder, &decoder), &inputs(&encoder, &symbols)?, runtime)?;
    let (encoder_cost, bytes) = (cost(&encoder, &symbols), encode(&decoder));
    // Observed shapes are more specific than shapes inferred for all inputs.
    let mut decoder = decoder;
    for latent in &verification.latents {
        let dims: Vec<Dim> = latent.dims.iter().map(|&dim| dim.into()).collect();
        set_dims(&mut decoder, &latent.tensor, &dims);
    }
    let decoder_cost = cost(&decoder, &symbols);
    Ok(Halves { encoder: encode(&encoder), decoder: bytes, verification, encoder_cost, decoder_cost })
}

fn write(halves: &Halves, out: &Path) -> Result<(), TrainingError> {
    fs::create_dir_all(out).map_err(io(out))?;
    files::replace(&out.join(ENCODER), &halves.encoder)?;
    files::replace(&out.join(DECODER), &halves.decoder)
}
