//! The steps from the data of a model with a definition to its bundle and its figures.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lopside_bundle::{FixedLatentDraft, put_table};
use lopside_decoder::Runtime;
use lopside_onnx::encode_model;
use lopside_quality::ContactSheet;

use crate::{
    Metrics, Split, TrainingDevice, TrainingError, agree, bundle,
    card::{self, DRAFT_CARD},
    corpus::{Corpus, DataFolder},
    definition::{Blueprint, Definition},
    describe::{self, Description},
    error::io_error,
    evaluate::{Evaluation, evaluate_bundle},
    json::to_json,
    latent_space,
    samples::Samples,
    split::{self, CLASSIFIER_FILE, DECODER_FILE, ENCODER_FILE, Halves, WHOLE_FILE},
    train::{self, load_trained},
};

/// Options of `train`.
#[derive(Debug)]
pub(crate) struct TrainOptions {
    /// The model to train.
    pub(crate) blueprint: Blueprint,
    /// The data to train on.
    pub(crate) data: DataFolder,
    /// Folder of the run.
    pub(crate) run: PathBuf,
    /// Whether to resume the training in `run`.
    pub(crate) resume: bool,
    /// The device to train on.
    pub(crate) device: TrainingDevice,
}

/// Options of `calibrate`.
#[derive(Debug)]
pub(crate) struct CalibrateOptions {
    /// Folder of the run.
    pub(crate) run: PathBuf,
    /// The model of the run, with the frame budget to meet.
    pub(crate) blueprint: Blueprint,
    /// The data that the run was trained on.
    pub(crate) data: DataFolder,
    /// Output folder for the bundle.
    pub(crate) out: PathBuf,
}

/// Options of `evaluate`.
#[derive(Debug)]
pub(crate) struct EvaluateOptions {
    /// Folder of the bundle.
    pub(crate) bundle: PathBuf,
    /// The definition that describes the data.
    pub(crate) definition: Definition,
    /// The data to measure on.
    pub(crate) data: DataFolder,
    /// Output folder for figures and images.
    pub(crate) out: PathBuf,
    /// Whether the figures are printed as JSON instead of a table.
    pub(crate) json: bool,
}

/// Runs `describe`: prints the layers and costs of `model`, and draws them into the file `svg`.
pub(crate) fn describe(model: &str, svg: Option<&Path>, json: bool) -> Result<(), TrainingError> {
    let blueprint = Definition::find(model)?.check(model)?;
    if let Some(path) = svg {
        fs::write(path, describe::render_svg(&blueprint)).map_err(io_error(path))?;
    }
    let description = Description::new(&blueprint);
    if json {
        print!("{}", to_json(&description)?);
    } else {
        print!("{}", describe::format_table(&description));
    }
    Ok(())
}

/// Runs `train`.
pub(crate) fn train(options: &TrainOptions) -> Result<(), TrainingError> {
    train_corpus(options, &Corpus::read(&options.blueprint.definition, &options.data, Split::Train)?)
}

fn train_corpus(options: &TrainOptions, corpus: &Corpus) -> Result<(), TrainingError> {
    let TrainOptions { blueprint, run, resume, device, .. } = options;
    let samples = Samples::new(corpus, blueprint)?;
    let history = train::train_samples(blueprint, &samples, run, *resume, &device.open()?)?;
    if let Some(last) = history.last() {
        eprintln!(
            "epoch {}: loss {:.6}, validation MSE {:.6}; curve in {}",
            last.epoch,
            last.train_loss,
            last.validation_mse,
            run.join("loss.svg").display()
        );
    }
    Ok(())
}

/// Runs `export`: writes the trained model of a run as one ONNX file.
pub(crate) fn export(run: &Path) -> Result<(), TrainingError> {
    let metrics = Metrics::read(run)?;
    split::write_file(run, WHOLE_FILE, &encode_model(&load_trained(run, &metrics)?.whole_model()?))?;
    eprintln!("{}", run.join(WHOLE_FILE).display());
    Ok(())
}

/// Cuts the whole model, verifies the halves and writes them. Returns the largest difference.
pub(crate) fn split(run: &Path, runtime: &Runtime) -> Result<f32, TrainingError> {
    let net = load_trained(run, &Metrics::read(run)?)?;
    let whole = split::read_step_file(run, WHOLE_FILE, "export")?;
    let halves = split::split_model(&whole, &net)?;
    let difference = agree::check_export(net.blueprint(), &whole, &halves, runtime)?;
    split::write_file(run, ENCODER_FILE, &halves.encoder)?;
    split::write_file(run, DECODER_FILE, &halves.decoder)?;
    if let Some(classifier) = &halves.classifier {
        split::write_file(run, CLASSIFIER_FILE, classifier)?;
    }
    eprintln!("the halves differ from the whole model by at most {difference:e} in ONNX Runtime and tract");
    Ok(difference)
}

/// Runs `calibrate`: writes the bundle of a run.
pub(crate) fn calibrate(options: &CalibrateOptions, runtime: &Runtime) -> Result<(), TrainingError> {
    let CalibrateOptions { run, blueprint, data, out } = options;
    let corpus = Corpus::read(&blueprint.definition, data, Split::Train)?;
    write_bundle(&draft_bundle(run, blueprint, &corpus, runtime)?, blueprint, out, DRAFT_CARD)?;
    eprintln!("bundle in {}", out.display());
    Ok(())
}

/// Writes the bundle of a draft, and the form of tables that its definition declares.
fn write_bundle(
    draft: &FixedLatentDraft,
    blueprint: &Blueprint,
    out: &Path,
    card: &str,
) -> Result<(), TrainingError> {
    draft.write(out, card)?;
    if let Some(table) = &blueprint.definition.data.table {
        put_table(out, Some(table.clone()))?;
    }
    Ok(())
}

/// Calibrates the latent space and returns the draft of the bundle. The latent-space id is also stamped into
/// the whole model in the run's folder.
fn draft_bundle(
    run: &Path,
    blueprint: &Blueprint,
    corpus: &Corpus,
    runtime: &Runtime,
) -> Result<FixedLatentDraft, TrainingError> {
    let net = load_trained(run, &Metrics::read(run)?)?;
    let [encoder, decoder] = [
        split::read_step_file(run, ENCODER_FILE, "split")?,
        split::read_step_file(run, DECODER_FILE, "split")?,
    ];
    let classifier =
        net.classifier.as_ref().map(|_| split::read_step_file(run, CLASSIFIER_FILE, "split")).transpose()?;
    let halves = Halves { encoder, decoder, classifier };
    let samples = Samples::new(corpus, blueprint)?;
    let (draft, mean) = latent_space::draft_bundle(&net, &halves, corpus, &samples, blueprint, runtime)?;
    let whole = split::read_step_file(run, WHOLE_FILE, "export")?;
    split::write_file(
        run,
        WHOLE_FILE,
        &bundle::with_latent_space(&whole, &draft.latent_space().to_string())?,
    )?;
    eprintln!("latent space {}: {mean:.2} bytes per frame on the training samples", draft.latent_space());
    Ok(draft)
}

/// Runs `evaluate`: measures a bundle, writes the figures and prints them.
pub(crate) fn evaluate(options: &EvaluateOptions, runtime: &Runtime) -> Result<(), TrainingError> {
    let EvaluateOptions { bundle, definition, data, out, json } = options;
    let [train, test] = [Split::Train, Split::Test].map(|split| Corpus::read(definition, data, split));
    let (evaluation, sheet) = evaluate_bundle(bundle, &train?, &test?, runtime)?;
    let text = to_json(&evaluation)?;
    split::write_file(out, "evaluation.json", text.as_bytes())?;
    if *json {
        print!("{text}");
    } else {
        print!("{}", evaluation.table());
    }
    if let Some(sheet) = sheet {
        let path = out.join("contact-sheet.png");
        sheet.save_png(&path)?;
        eprintln!("contact sheet: {}", path.display());
    }
    Ok(())
}

/// Runs `bundle`: all steps from the training to the figures. `model` is the model's name or path on the command
/// line, and the bundle is written to `out`.
pub(crate) fn bundle(
    options: &TrainOptions,
    model: &str,
    out: &Path,
    runtime: &Runtime,
) -> Result<(), TrainingError> {
    let TrainOptions { blueprint, data, run, .. } = options;
    let train = Corpus::read(&blueprint.definition, data, Split::Train)?;
    train_corpus(options, &train)?;
    export(run)?;
    let difference = split(run, runtime)?;
    let draft = draft_bundle(run, blueprint, &train, runtime)?;
    write_bundle(&draft, blueprint, out, DRAFT_CARD)?;
    let test = Corpus::read(&blueprint.definition, data, Split::Test)?;
    let (evaluation, sheet) = evaluate_bundle(out, &train, &test, runtime)?;
    write_bundle(&draft, blueprint, out, &card::write(blueprint, model, &train, difference, &evaluation))?;
    write_evaluation(run, &evaluation, sheet.as_ref())?;
    print!("{}", evaluation.table());
    eprintln!("bundle in {}", out.display());
    Ok(())
}

fn write_evaluation(
    run: &Path,
    evaluation: &Evaluation,
    sheet: Option<&ContactSheet>,
) -> Result<(), TrainingError> {
    split::write_file(run, "evaluation.json", to_json(evaluation)?.as_bytes())?;
    sheet.map_or(Ok(()), |sheet| Ok(sheet.save_png(run.join("contact-sheet.png"))?))
}
