//! `training split MODEL.onnx`: where a model from anywhere can be cut, and its two halves.
//!
//! ```text
//! file ─load─► model ─► cuts ─pick─► names ─split_at─► halves ─verify─► write
//!                         └─list─► table or JSON
//! ```
//! Nothing is written before whole and halves have computed the same in ONNX Runtime, and the encoder in tract too.

mod bind;
mod list;
mod load;
mod verify;

use std::{fs, path::Path};

use lopside_onnx::{
    Budget, Cost, OnnxError, cost, cuts, encode, inputs, pick, proto::ModelProto, set_input_dims, split_at,
};
use serde::Serialize;

pub use self::verify::{Agreement, Verification};
use self::{bind::Bindings, list::Listing};
use crate::{
    TrainingError,
    cli::OwnArgs,
    engines,
    error::io,
    files,
    split::{DECODER, ENCODER},
};

/// Both halves of a model, shown to compute what the whole computes.
#[derive(Debug)]
pub struct Halves {
    /// `encoder.onnx`: the model's inputs to the tensors of the cut.
    pub encoder: Vec<u8>,
    /// `decoder.onnx`: the tensors of the cut to the model's outputs.
    pub decoder: Vec<u8>,
    /// What was compared.
    pub verification: Verification,
    /// The encoder's cost, or the shape that is not known.
    pub encoder_cost: Result<Cost, OnnxError>,
    /// The decoder's.
    pub decoder_cost: Result<Cost, OnnxError>,
}

/// Does what `training split MODEL.onnx` was asked for.
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
    let halves = halves(model, &at, &bindings, &runtime)?;
    if let (Agreement::Impossible { reason }, false) = (&halves.verification.tract, args.allow_no_tract) {
        return Err(TrainingError::NoTract { reason: reason.clone() });
    }
    write(&halves, &args.out)?;
    let report = Report::new(&at, &halves);
    if args.json {
        print!("{}", list::json(&report)?);
    } else {
        print!("{}", report.text(&args.out));
    }
    Ok(())
}

/// Cuts a model from anywhere at these tensors and shows that the halves compute what the whole computes, on random
/// inputs. `bind` gives open dimensions a number, as `SYMBOL=N`, `INPUT.AXIS=N` or `INPUT=N,N,…`; a first dimension
/// that is left open is 1. `onnxruntime` is the library.
///
/// # Errors
/// [`TrainingError::Onnx`] for no cut, [`TrainingError::Binding`] for dimensions without a number,
/// [`TrainingError::Disagreement`] when anything differs by more than 1e-4 of the values' scale,
/// [`TrainingError::Model`] when ONNX Runtime cannot run a model.
pub fn split(
    model: ModelProto,
    at: &[String],
    bind: &[String],
    onnxruntime: &Path,
) -> Result<Halves, TrainingError> {
    let bindings = Bindings::new(&inputs(&model, &[])?, bind)?;
    halves(model, at, &bindings, &engines::runtime(onnxruntime)?)
}

/// The tensors to cut at: those named, or the best within the budget; `None` to list.
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
    // The shapes that were seen say more than those that could be derived for all inputs.
    let mut decoder = decoder;
    for latent in &verification.latents {
        set_input_dims(&mut decoder, &latent.tensor, &latent.dims);
    }
    let decoder_cost = cost(&decoder, &symbols);
    Ok(Halves { encoder: encode(&encoder), decoder: bytes, verification, encoder_cost, decoder_cost })
}

fn write(halves: &Halves, out: &Path) -> Result<(), TrainingError> {
    fs::create_dir_all(out).map_err(io(out))?;
    files::replace(&out.join(ENCODER), &halves.encoder)?;
    files::replace(&out.join(DECODER), &halves.decoder)
}

/// What became of a cut, for people and programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    at: &'a [String],
    latents: Vec<LatentReport<'a>>,
    encoder: CostReport,
    decoder: CostReport,
    /// The largest differences, relative to the scale of the values.
    onnx_runtime_difference: f32,
    tract_difference: Option<f32>,
    tract_cannot: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LatentReport<'a> {
    tensor: &'a str,
    shape: &'a [i64],
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct CostReport {
    parameters: Option<u64>,
    macs: Option<u64>,
    /// Why they are not known.
    unknown: Option<String>,
}

impl CostReport {
    fn new(cost: &Result<Cost, OnnxError>) -> Self {
        let known = cost.as_ref().ok();
        Self {
            parameters: known.map(|cost| cost.parameters),
            macs: known.map(|cost| cost.macs),
            unknown: cost.as_ref().err().map(ToString::to_string),
        }
    }

    fn text(&self) -> String {
        match (self.macs, self.parameters) {
            (Some(macs), Some(parameters)) => {
                format!("{} MAC, {} parameters", list::grouped(macs), list::grouped(parameters))
            }
            _ => format!("cost unknown, {}", self.unknown.as_deref().unwrap_or_default()),
        }
    }
}

impl<'a> Report<'a> {
    fn new(at: &'a [String], halves: &'a Halves) -> Self {
        let verification = &halves.verification;
        let latent = |latent: &'a verify::Latent| LatentReport {
            tensor: &latent.tensor,
            shape: &latent.dims,
            bytes: 4 * latent.dims.iter().map(|&dim| dim.unsigned_abs()).product::<u64>(),
        };
        Self {
            at,
            latents: verification.latents.iter().map(latent).collect(),
            encoder: CostReport::new(&halves.encoder_cost),
            decoder: CostReport::new(&halves.decoder_cost),
            onnx_runtime_difference: verification.onnx_runtime,
            tract_difference: match verification.tract {
                Agreement::Within { difference } => Some(difference),
                Agreement::Impossible { .. } => None,
            },
            tract_cannot: match &verification.tract {
                Agreement::Within { .. } => None,
                Agreement::Impossible { reason } => Some(reason),
            },
        }
    }

    fn text(&self, out: &Path) -> String {
        let half = |name: &str, cost: &CostReport| format!("{}: {}\n", out.join(name).display(), cost.text());
        let cut = |latent: &LatentReport<'_>| {
            let bytes = list::grouped(latent.bytes);
            format!("cut at {} {:?}: {bytes} bytes as f32\n", latent.tensor, latent.shape)
        };
        let tract = match self.tract_difference {
            Some(difference) => format!("tract: the encoder agrees to {difference:.1e}\n"),
            None => format!(
                "tract cannot run the encoder, so this cut is not for the edge: {}\n",
                self.tract_cannot.unwrap_or_default()
            ),
        };
        let last = [
            half(ENCODER, &self.encoder),
            half(DECODER, &self.decoder),
            format!("ONNX Runtime: halves and whole agree to {:.1e}\n", self.onnx_runtime_difference),
            tract,
        ];
        self.latents.iter().map(cut).chain(last).collect()
    }
}
