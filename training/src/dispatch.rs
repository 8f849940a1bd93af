//! Runs the command of a command line: refuses the options that have no effect, converts the others, and calls the
//! step.

use lopside_bundle::{BundlePart, image_codec::AnyBundle};

use crate::{
    Metrics, TrainingError,
    cli::{
        BundleArgs, CalibrateArgs, Cli, Command, DataCommand, EvaluateArgs, GivenOptions, SplitArgs,
        TrainArgs,
    },
    data::{self, RegistryDataset},
    engines::load_cpu_runtime,
    external_model, fp16, golden, photo, photos, steps,
};

/// Runs the command given on the command line.
///
/// # Errors
/// [`TrainingError`] with the cause and, if there is one, the fix.
pub fn run(cli: Cli) -> Result<(), TrainingError> {
    let given = &cli.given;
    match cli.command {
        Command::Train(args) => train(&args, given),
        Command::Export(args) => steps::export(&args.run),
        Command::Split(args) => split(args),
        Command::Calibrate(args) => calibrate(&args, given),
        Command::Evaluate(args) => evaluate(&args, given),
        Command::Bundle(args) => bundle(&args, given),
        Command::Describe(args) => steps::describe(&args.model, args.svg.as_deref(), args.json),
        Command::Data(command) => fetch_data(&command),
        Command::FinetuneDecoder(args) => photo::finetune::run(&args.options()),
        Command::Fp16(args) => {
            fp16::run(&args.bundle, args.head.as_deref(), &load_cpu_runtime(&args.runtime.onnxruntime)?)
        }
        Command::Golden(args) => golden::run(&args.bundle, &args.inputs),
        Command::Upscale(args) => {
            photo::upscale::run(&args.options(), &load_cpu_runtime(&args.runtime.onnxruntime)?)
        }
    }
}

fn fetch_data(command: &DataCommand) -> Result<(), TrainingError> {
    let (set, args) = match command {
        DataCommand::Photos(args) => return photos::fetch(&args.out, args.debs.as_deref()).map(drop),
        DataCommand::Mnist(args) => (RegistryDataset::Mnist, args),
        DataCommand::Shuttle(args) => (RegistryDataset::Shuttle, args),
        DataCommand::InternalBleeding(args) => (RegistryDataset::InternalBleeding, args),
        DataCommand::Ecg(args) => (RegistryDataset::Ecg, args),
    };
    data::fetch(set, &args.out, args.packages.as_deref())
}

fn train(args: &TrainArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    args.check_given(given)?;
    match args.blueprint()? {
        Some(blueprint) => steps::train(&args.definition_run(blueprint)),
        None => photo::steps::train(&args.photo_run()),
    }
}

fn split(args: SplitArgs) -> Result<(), TrainingError> {
    let onnxruntime = args.export.runtime.onnxruntime;
    match args.model {
        Some(model) => external_model::run(&args.external_model.into_options(model, onnxruntime)),
        None => steps::split(&args.export.run.run, &load_cpu_runtime(&onnxruntime)?).map(drop),
    }
}

fn calibrate(args: &CalibrateArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    let run = &args.export.run.run;
    if photo::run::is_photo_run(run)? {
        given.refuse(&["data", "limit", "frame_bytes", "onnxruntime"], "runs of preset photo")?;
        return photo::steps::calibrate(run, &args.photos, &args.out);
    }
    given.refuse(&["photos"], "runs of models with a definition, only on runs of preset photo")?;
    let runtime = load_cpu_runtime(&args.export.runtime.onnxruntime)?;
    steps::calibrate(&args.options(Metrics::read(run)?.blueprint()?), &runtime)
}

fn evaluate(args: &EvaluateArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    let runtime = load_cpu_runtime(&args.runtime.onnxruntime)?;
    if let AnyBundle::ImageCodec(bundle) = AnyBundle::load(&args.bundle, BundlePart::Whole)? {
        given.refuse(&["data", "limit", "preset", "normal"], "image codecs")?;
        return photo::steps::evaluate(&bundle, &args.photos, &args.out, args.json, &runtime);
    }
    given.refuse(&["photos"], "bundles of fixed latents, only on image codecs")?;
    steps::evaluate(&args.options()?, &runtime)
}

fn bundle(args: &BundleArgs, given: &GivenOptions) -> Result<(), TrainingError> {
    args.train.check_given(given)?;
    let runtime = load_cpu_runtime(&args.runtime.onnxruntime)?;
    match args.train.blueprint()? {
        Some(blueprint) => {
            let options = args.train.definition_run(args.budget.apply_to(blueprint));
            steps::bundle(&options, &args.train.preset, &args.out, &runtime)
        }
        None => photo::steps::bundle(&args.train.photo_run(), &args.out, &runtime),
    }
}
