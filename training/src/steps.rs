//! Runs the subcommands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cloud_decoder::Runtime;
use lopside_bundle::{BundlePart, FixedLatentDraft, image_codec::AnyBundle};
use lopside_onnx::encode_model;
use lopside_quality::ContactSheet;
use serde::Serialize;

use crate::{
    Metrics, Split, TrainingError, agree, bundle, card,
    cli::{
        BundleArgs, CalibrateArgs, Cli, Command, DataArgs, DataCommand, DescribeArgs, EvaluateArgs,
        GivenOptions, SplitArgs, TrainArgs,
    },
    corpus::Corpus,
    data::{self, RegistryDataset},
    definition::{Blueprint, Definition},
    describe::{self, Description},
    engines,
    error::io_error,
    evaluate::{Evaluation, evaluate_bundle},
    fp16, golden, latent_space, own, photo, photos,
    samples::Samples,
    split::{self, CLASSIFIER_FILE, DECODER_FILE, ENCODER_FILE, Halves, WHOLE_FILE},
    train::{self, load_trained},
};

/// The model card of a bundle that was not evaluated yet.
pub(crate) const DRAFT_CARD: &str =
    "# Draft\n\nThis bundle was not measured: `training bundle` writes a card with figures.\n";

/// Runs the command given on the command line.
///
/// # Errors
/// [`TrainingError`] with the cause and, if there is one, the fix.
pub fn run(cli: Cli) -> Result<(), TrainingError> {
    let given = &cli.given;
    match cli.command {
        Command::Train(args) => train_step(&args, given),
        Command::Export(args) => export_step(&args.run),
        Command::Split(args) => split_command(&args),
        Command::Calibrate(args) => calibrate_command(&args, given),
        Command::Evaluate(args) => evaluate_step(&args, given),
        Command::Bundle(args) => bundle_step(&args, given),
        Command::Describe(args) => describe_command(&args),
        Command::Data(command) => data_step(&command),
        Command::FinetuneDecoder(args) => photo::steps::finetune(&args),
        Command::Fp16(args) => fp16::run(&args),
        Command::Golden(args) => golden::run(&args),
        Command::Upscale(args) => photo::upscale::run(&args),
    }
}

fn data_step(command: &DataCommand) -> Result<(), TrainingError> {
    let (set, args) = match command {
        DataCommand::Photos(args) => return photos::fetch(&args.out, args.debs.as_deref()).map(drop),
        DataCommand::Mnist(args) => (RegistryDataset::Mnist, args),
        DataCommand::Shuttle(args) => (RegistryDataset::Shuttle, args),
        DataCommand::InternalBleeding(args) => (RegistryDataset::InternalBleeding, args),
        DataCommand::Ecg(args) => (RegistryDataset::Ecg, args),
    };
    data::fetch(set, &args.out, args.packages.as_deref())
}

fn describe_command(args: &DescribeArgs) -> Result<(), TrainingError> {
    let blueprint = Definition::find(&args.model)?.check(&args.model)?;
    if let Some(path) = &args.svg {
        fs::write(path, describe::render_svg(&blueprint)).map_err(io_error(path))?;
    }
    let description = Description::new(&blueprint);
    if args.json {
        print!("{}", to_json(&description, PathBuf::from(&args.model))?);
    } else {
        print!("{}", describe::format_table(&description));
    }
    Ok(())
}

fn train_step(args: &TrainArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    args.check_given(given)?;
    let Some(blueprint) = args.blueprint()? else { return photo::steps::train(args) };
    train_corpus(args, &blueprint, &read_corpus(&blueprint.definition, &args.data, Split::Train)?)
}

fn train_corpus(args: &TrainArgs, blueprint: &Blueprint, corpus: &Corpus) -> Result<(), TrainingError> {
    let run = &args.run_folder();
    let samples = Samples::new(corpus, blueprint)?;
    let history = train::train_samples(blueprint, &samples, run, args.resume, &args.device.open_device()?)?;
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

fn export_step(run: &Path) -> Result<(), TrainingError> {
    let metrics = Metrics::read(run)?;
    split::write_file(run, WHOLE_FILE, &encode_model(&load_trained(run, &metrics)?.whole_model()?))?;
    eprintln!("{}", run.join(WHOLE_FILE).display());
    Ok(())
}

fn split_command(args: &SplitArgs) -> Result<(), TrainingError> {
    let library = &args.export.runtime.onnxruntime;
    match &args.model {
        Some(model) => own::run(&args.own, model, library),
        None => split_step(&args.export.run.run, &engines::load_cpu_runtime(library)?).map(drop),
    }
}

/// Cuts the whole model, verifies the halves and writes them. Returns the largest difference.
fn split_step(run: &Path, runtime: &Runtime) -> Result<f32, TrainingError> {
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

fn calibrate_command(args: &CalibrateArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    if photo::run::is_photo_run(&args.export.run.run)? {
        given.refuse(&["data", "limit", "frame_bytes", "onnxruntime"], "runs of preset photo")?;
        return photo::steps::calibrate(args);
    }
    given.refuse(&["photos"], "runs of models with a definition, only on runs of preset photo")?;
    let runtime = engines::load_cpu_runtime(&args.export.runtime.onnxruntime)?;
    let run = &args.export.run.run;
    let blueprint = args.budget.apply_to(Metrics::read(run)?.blueprint()?);
    let corpus = read_corpus(&blueprint.definition, &args.data, Split::Train)?;
    calibrate_step(run, &blueprint, &corpus, &runtime)?.write(&args.out, DRAFT_CARD)?;
    eprintln!("bundle in {}", args.out.display());
    Ok(())
}

/// Calibrates the latent space and returns the draft of the bundle. The latent-space id is also stamped into
/// the whole model in the run's folder.
fn calibrate_step(
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

fn evaluate_step(args: &EvaluateArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    let runtime = engines::load_cpu_runtime(&args.runtime.onnxruntime)?;
    if let AnyBundle::ImageCodec(bundle) = AnyBundle::load(&args.bundle, BundlePart::Whole)? {
        given.refuse(&["data", "limit", "preset", "normal"], "image codecs")?;
        return photo::steps::evaluate(args, &bundle, &runtime);
    }
    given.refuse(&["photos"], "bundles of fixed latents, only on image codecs")?;
    let mut definition = Definition::find(args.preset.as_deref().unwrap_or("fashion-dense"))?;
    definition.data.normal = args.normal.or(definition.data.normal);
    let halves = [Split::Train, Split::Test].map(|split| read_corpus(&definition, &args.data, split));
    let [train, test] = halves;
    let (evaluation, sheet) = evaluate_bundle(&args.bundle, &train?, &test?, &runtime)?;
    let json = to_json(&evaluation, args.out.join("evaluation.json"))?;
    split::write_file(&args.out, "evaluation.json", json.as_bytes())?;
    if args.json {
        print!("{json}");
    } else {
        print!("{}", evaluation.table());
    }
    if let Some(sheet) = sheet {
        let path = args.out.join("contact-sheet.png");
        sheet.save_png(&path)?;
        eprintln!("contact sheet: {}", path.display());
    }
    Ok(())
}

fn bundle_step(args: &BundleArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    args.train.check_given(given)?;
    let runtime = engines::load_cpu_runtime(&args.runtime.onnxruntime)?;
    let Some(blueprint) = args.train.blueprint()? else { return photo::steps::bundle(args, &runtime) };
    let blueprint = args.budget.apply_to(blueprint);
    let run = &args.train.run_folder();
    let train = read_corpus(&blueprint.definition, &args.train.data, Split::Train)?;
    train_corpus(&args.train, &blueprint, &train)?;
    export_step(run)?;
    let difference = split_step(run, &runtime)?;
    let draft = calibrate_step(run, &blueprint, &train, &runtime)?;
    draft.write(&args.out, DRAFT_CARD)?;
    let test = read_corpus(&blueprint.definition, &args.train.data, Split::Test)?;
    let (evaluation, sheet) = evaluate_bundle(&args.out, &train, &test, &runtime)?;
    draft.write(&args.out, &card::write(&blueprint, &args.train.preset, &train, difference, &evaluation))?;
    write_evaluation(run, &evaluation, sheet.as_ref())?;
    print!("{}", evaluation.table());
    eprintln!("bundle in {}", args.out.display());
    Ok(())
}

fn write_evaluation(
    run: &Path,
    evaluation: &Evaluation,
    sheet: Option<&ContactSheet>,
) -> Result<(), TrainingError> {
    let path = run.join("evaluation.json");
    split::write_file(run, "evaluation.json", to_json(evaluation, path)?.as_bytes())?;
    sheet.map_or(Ok(()), |sheet| Ok(sheet.save_png(run.join("contact-sheet.png"))?))
}

fn read_corpus(definition: &Definition, args: &DataArgs, split: Split) -> Result<Corpus, TrainingError> {
    Corpus::read(definition, &args.data, split, args.limit)
}

fn to_json(value: &impl Serialize, path: PathBuf) -> Result<String, TrainingError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|source| TrainingError::InvalidJson { path, source })
}
