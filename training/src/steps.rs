//! What each subcommand does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cloud_decoder::Runtime;
use lopside_bundle::{Draft, Part, picture::AnyBundle};
use lopside_onnx::encode;
use serde::Serialize;

use crate::{
    Calibration, Dataset, Evaluation, LayerLatents, Metrics, Split, TrainingError, agree, bundle, calibrate,
    card,
    cli::{
        BundleArgs, CalibrateArgs, Cli, Command, DataArgs, DataCommand, DescribeArgs, EvaluateArgs,
        SplitArgs, TrainArgs,
    },
    data::{self, Set},
    definition::Definition,
    describe::{self, Description},
    engines::{self, OrtModel},
    error::io,
    evaluate, own, photo, photos,
    split::{self, CLASSIFIER, DECODER, ENCODER, Halves, WHOLE},
    train,
    train::trained,
};

/// A model card before its figures are known.
pub(crate) const DRAFT_CARD: &str =
    "# Draft\n\nNot measured: `training bundle` writes the card with its figures.\n";

/// Does what the command line says.
///
/// # Errors
/// [`TrainingError`] with the cause and, where there is one, the fix.
pub fn run(cli: Cli) -> Result<(), TrainingError> {
    match cli.command {
        Command::Train(args) => train_step(&args),
        Command::Export(args) => export_step(&args.run.run),
        Command::Split(args) => split_command(&args),
        Command::Calibrate(args) => calibrate_command(&args),
        Command::Evaluate(args) => evaluate_step(&args),
        Command::Bundle(args) => bundle_step(&args),
        Command::Describe(args) => describe_command(&args),
        Command::Data(command) => data_step(&command),
        Command::FinetuneDecoder(args) => photo::steps::finetune(&args),
    }
}

fn data_step(command: &DataCommand) -> Result<(), TrainingError> {
    let (set, args) = match command {
        DataCommand::Photos(args) => return photos::fetch(&args.out, args.debs.as_deref()).map(drop),
        DataCommand::Mnist(args) => (Set::Mnist, args),
        DataCommand::Shuttle(args) => (Set::Shuttle, args),
        DataCommand::InternalBleeding(args) => (Set::InternalBleeding, args),
        DataCommand::Ecg(args) => (Set::Ecg, args),
    };
    data::fetch(set, &args.out, args.packages.as_deref())
}

fn describe_command(args: &DescribeArgs) -> Result<(), TrainingError> {
    let blueprint = Definition::find(&args.model)?.check(&args.model)?;
    if let Some(path) = &args.svg {
        fs::write(path, describe::svg(&blueprint)).map_err(io(path))?;
    }
    let description = Description::new(&blueprint);
    if args.json {
        print!("{}", json(&description, PathBuf::from(&args.model))?);
    } else {
        print!("{}", describe::table(&description));
    }
    Ok(())
}

fn train_step(args: &TrainArgs) -> Result<(), TrainingError> {
    let Some(blueprint) = args.blueprint()? else { return photo::steps::train(args) };
    let data = read(&args.data, Split::Train)?;
    let run = &args.run();
    let history = train(&blueprint, &data, run, args.resume, &args.device.open()?)?;
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
    split::write(run, WHOLE, &encode(&trained(run, &metrics)?.whole()?))?;
    eprintln!("{}", run.join(WHOLE).display());
    Ok(())
}

fn split_command(args: &SplitArgs) -> Result<(), TrainingError> {
    let library = &args.export.runtime.onnxruntime;
    match &args.model {
        Some(model) => own::run(&args.own, model, library),
        None => split_step(&args.export.run.run, &engines::runtime(library)?).map(drop),
    }
}

/// Cuts, checks and keeps the halves; the largest difference seen.
fn split_step(run: &Path, runtime: &Runtime) -> Result<f32, TrainingError> {
    let net = trained(run, &Metrics::read(run)?)?;
    let whole = split::read(run, WHOLE, "export")?;
    let halves = split::split(&whole, &net)?;
    let difference = agree::check(net.blueprint(), &whole, &halves, runtime)?;
    split::write(run, ENCODER, &halves.encoder)?;
    split::write(run, DECODER, &halves.decoder)?;
    if let Some(classifier) = &halves.classifier {
        split::write(run, CLASSIFIER, classifier)?;
    }
    eprintln!("whole and halves agree to {difference:e} in ONNX Runtime and tract");
    Ok(difference)
}

fn calibrate_command(args: &CalibrateArgs) -> Result<(), TrainingError> {
    if photo::steps::calibrate(args)? {
        return Ok(());
    }
    let runtime = engines::runtime(&args.export.runtime.onnxruntime)?;
    let data = read(&args.data, Split::Train)?;
    let run = &args.export.run.run;
    calibrate_step(run, &data, args.budget.frame_bytes, &runtime)?.write(&args.out, DRAFT_CARD)?;
    eprintln!("bundle in {}", args.out.display());
    Ok(())
}

/// The draft of the bundle; the whole model in the run's folder gets the name of the latent space.
fn calibrate_step(
    run: &Path,
    data: &Dataset,
    frame_bytes: f64,
    runtime: &Runtime,
) -> Result<Draft, TrainingError> {
    let blueprint = Metrics::read(run)?.blueprint()?;
    let [encoder, decoder] = [split::read(run, ENCODER, "split")?, split::read(run, DECODER, "split")?];
    let halves = Halves { encoder, decoder, classifier: None };
    let calibration = calibration(&halves, data, blueprint.latent.values(), frame_bytes, runtime)?;
    let draft = bundle::draft(&blueprint, &halves, &calibration)?;
    let whole = split::read(run, WHOLE, "export")?;
    split::write(run, WHOLE, &bundle::stamped(&whole, &draft.latent_space().to_string())?)?;
    eprintln!(
        "latent space {}: frames of {:.2} bytes on the training pictures",
        draft.latent_space(),
        calibration.mean_frame_bytes
    );
    Ok(draft)
}

fn calibration(
    halves: &Halves,
    data: &Dataset,
    dims: usize,
    frame_bytes: f64,
    runtime: &Runtime,
) -> Result<Calibration, TrainingError> {
    let every: Vec<usize> = (0..data.len()).collect();
    let latents =
        OrtModel::new(runtime, ENCODER, &halves.encoder)?.run_all(&data.batch(&every), data.len())?;
    let mut decoder = OrtModel::new(runtime, DECODER, &halves.decoder)?;
    let layers = [LayerLatents { values: latents, len: dims, runs: calibrate::runs(&[dims as u32]) }];
    let sensitivities = calibrate::sensitivities(&mut decoder, &layers)?;
    calibrate(&layers, &sensitivities, frame_bytes)
}

fn evaluate_step(args: &EvaluateArgs) -> Result<(), TrainingError> {
    let runtime = engines::runtime(&args.runtime.onnxruntime)?;
    if let AnyBundle::Picture(bundle) = AnyBundle::load(&args.bundle, Part::Whole)? {
        return photo::steps::evaluate(args, &bundle, &runtime);
    }
    let (train, test) = (read(&args.data, Split::Train)?, read(&args.data, Split::Test)?);
    let (evaluation, sheet) = evaluate(&args.bundle, &train, &test, &runtime)?;
    let json = json(&evaluation, args.out.join("evaluation.json"))?;
    split::write(&args.out, "evaluation.json", json.as_bytes())?;
    sheet.save_png(args.out.join("contact-sheet.png"))?;
    if args.json {
        print!("{json}");
    } else {
        print!("{}", evaluation.table());
    }
    eprintln!("contact sheet: {}", args.out.join("contact-sheet.png").display());
    Ok(())
}

fn bundle_step(args: &BundleArgs) -> Result<(), TrainingError> {
    let runtime = engines::runtime(&args.runtime.onnxruntime)?;
    let Some(blueprint) = args.train.blueprint()? else { return photo::steps::bundle(args, &runtime) };
    let run = &args.train.run();
    train_step(&args.train)?;
    export_step(run)?;
    let difference = split_step(run, &runtime)?;
    let train = read(&args.train.data, Split::Train)?;
    let draft = calibrate_step(run, &train, args.budget.frame_bytes, &runtime)?;
    draft.write(&args.out, DRAFT_CARD)?;
    let test = read(&args.train.data, Split::Test)?;
    let (evaluation, sheet) = evaluate(&args.out, &train, &test, &runtime)?;
    draft.write(&args.out, &card::write(&blueprint, args.budget.frame_bytes, difference, &evaluation))?;
    keep(run, &evaluation, &sheet)?;
    print!("{}", evaluation.table());
    eprintln!("bundle in {}", args.out.display());
    Ok(())
}

fn keep(
    run: &Path,
    evaluation: &Evaluation,
    sheet: &lopside_quality::ContactSheet,
) -> Result<(), TrainingError> {
    let path = run.join("evaluation.json");
    split::write(run, "evaluation.json", json(evaluation, path)?.as_bytes())?;
    Ok(sheet.save_png(run.join("contact-sheet.png"))?)
}

fn read(args: &DataArgs, split: Split) -> Result<Dataset, TrainingError> {
    Dataset::read(&args.data, split, args.limit)
}

fn json(value: &impl Serialize, path: PathBuf) -> Result<String, TrainingError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|source| TrainingError::Json { path, source })
}
