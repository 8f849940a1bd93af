//! The subcommands for photographs.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use cloud_decoder::Runtime;
use lopside_bundle::{
    Part,
    picture::{AnyBundle, PictureBundle, PictureDraftHead, add_head},
};

use super::{
    PhotoOptions, Trained, bundle as bundles, card,
    evaluate::{self as evaluation, PhotoEvaluation},
    own::OwnCodec,
    run::PhotoRun,
    train::Training,
};
use crate::{
    TrainingError,
    cli::{BundleArgs, CalibrateArgs, EvaluateArgs, FinetuneArgs, PicturesArgs, TrainArgs},
    photos,
    steps::DRAFT_CARD,
};

/// Runs `train --preset photo`.
pub(crate) fn train(args: &TrainArgs) -> Result<(), TrainingError> {
    let run = &args.run();
    let training = Training {
        options: args.photo(),
        tiles: tiles(&args.photo.pictures, run)?,
        run,
        resume: args.resume,
        until: args.until,
        from: args.from.as_deref(),
    };
    training.go(&args.device.open()?)
}

/// Runs `bundle --preset photo`.
pub(crate) fn bundle(args: &BundleArgs, runtime: &Runtime) -> Result<(), TrainingError> {
    train(&args.train)?;
    let folder = args.train.run();
    let run = PhotoRun::read(&folder)?;
    let draft = bundles::draft(&run, &args.train.photo.pictures.train())?;
    draft.write(&args.out, DRAFT_CARD)?;
    let bundle = open(&args.out)?;
    let figures = measure(&bundle, &args.train.photo.pictures.test(), &folder.join("evaluation"), runtime)?;
    card::put(&args.out, &draft, &run, &bundle.manifest, &figures)?;
    print!("{}", figures.table());
    eprintln!("bundle in {}", args.out.display());
    Ok(())
}

/// Runs `calibrate` for a photo run.
pub(crate) fn calibrate(args: &CalibrateArgs) -> Result<(), TrainingError> {
    let run = PhotoRun::read(&args.export.run.run)?;
    bundles::draft(&run, &args.photos)?.write(&args.out, DRAFT_CARD)?;
    eprintln!("bundle in {}", args.out.display());
    Ok(())
}

/// Runs `evaluate` for a photo bundle.
pub(crate) fn evaluate(
    args: &EvaluateArgs,
    bundle: &PictureBundle,
    runtime: &Runtime,
) -> Result<(), TrainingError> {
    let figures = measure(bundle, &args.photos, &args.out, runtime)?;
    if args.json {
        print!("{}", figures.json()?);
    } else {
        print!("{}", figures.table());
    }
    eprintln!("curves and images in {}", args.out.display());
    Ok(())
}

/// Runs `finetune-decoder`.
pub(crate) fn finetune(args: &FinetuneArgs) -> Result<(), TrainingError> {
    let before = PhotoRun::read(&args.run)?;
    let options = PhotoOptions {
        steps: args.photo.steps.max(1),
        batch: args.batch.max(1),
        crop: args.photo.crop,
        learning_rate: args.learning_rate,
        seed: args.seed,
        distortion: args.photo.distortion,
        trained: Trained::Decoder,
        ..before.origin.options
    };
    let training = Training {
        options,
        tiles: tiles(&args.photo.pictures, &args.out)?,
        run: &args.out,
        resume: args.resume,
        until: None,
        from: Some(&args.run),
    };
    training.go(&args.device.open()?)?;
    let head = add(&args.bundle, &PhotoRun::read(&args.out)?)?;
    eprintln!(
        "{} now has head {:?} version {}; its card still shows the figures of the previous version: measure the new \
         one with `training evaluate`",
        args.bundle.display(),
        head.name,
        head.version
    );
    Ok(())
}

fn measure(
    bundle: &PictureBundle,
    photos: &Path,
    out: &Path,
    runtime: &Runtime,
) -> Result<PhotoEvaluation, TrainingError> {
    evaluation::evaluate(&mut OwnCodec::new(bundle, runtime)?, photos, out)
}

/// Adds the head that a run has trained to a bundle of its latent space, as the next version of its name.
pub(super) fn add(bundle: &Path, run: &PhotoRun) -> Result<PictureDraftHead, TrainingError> {
    let (manifest, spec) = (open(bundle)?.manifest, run.origin.options.spec());
    let version = manifest.next_version(bundles::head_name(&spec));
    let space = manifest.latent_space.to_string();
    let head = bundles::head(&run.model(&Device::flex())?, &spec, &space, version)?;
    add_head(bundle, &head)?;
    Ok(head)
}

pub(super) fn open(folder: &Path) -> Result<PictureBundle, TrainingError> {
    match AnyBundle::load(folder, Part::Whole)? {
        AnyBundle::Picture(bundle) => Ok(bundle),
        AnyBundle::Vector(_) => Err(TrainingError::NoPhotoBundle { folder: folder.to_owned() }),
    }
}

/// Returns the folder of the photographs' tile cache, which is built if it is missing or outdated.
pub(super) fn tiles(args: &PicturesArgs, run: &Path) -> Result<PathBuf, TrainingError> {
    let cache = args.tiles.clone().unwrap_or_else(|| run.join("tiles"));
    photos::build(&args.train(), &cache, photos::TileOptions::default())?;
    Ok(cache)
}
