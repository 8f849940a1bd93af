//! The subcommands for photographs.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use cloud_decoder::Runtime;
use lopside_bundle::{
    BundlePart,
    image_codec::{AnyBundle, ImageCodecBundle, ImageCodecDraftHead, add_head},
};

use super::{
    PhotoOptions, TrainedParts, bundle as bundles, card,
    evaluate::{self as evaluation, PhotoEvaluation},
    own::BundleCodec,
    run::PhotoRun,
    train::PhotoTraining,
};
use crate::{
    TrainingError,
    cli::{BundleArgs, CalibrateArgs, EvaluateArgs, FinetuneArgs, PhotoFolderArgs, TrainArgs},
    photos,
    steps::DRAFT_CARD,
};

/// Runs `train --preset photo`.
pub(crate) fn train(args: &TrainArgs) -> Result<(), TrainingError> {
    let run = &args.run_folder();
    let training = PhotoTraining {
        options: args.photo_options(),
        tiles: build_tile_cache(&args.photo.pictures, run)?,
        run,
        resume: args.resume,
        stop_step: args.until,
        start_run: args.from.as_deref(),
    };
    training.run(&args.device.open_device()?)
}

/// Runs `bundle --preset photo`.
pub(crate) fn bundle(args: &BundleArgs, runtime: &Runtime) -> Result<(), TrainingError> {
    train(&args.train)?;
    let folder = args.train.run_folder();
    let run = PhotoRun::read(&folder)?;
    let draft = bundles::draft(&run, &args.train.photo.pictures.train_folder())?;
    draft.write(&args.out, DRAFT_CARD)?;
    let bundle = open_photo_bundle(&args.out)?;
    let figures = measure_bundle(
        &bundle,
        &args.train.photo.pictures.test_folder(),
        &folder.join("evaluation"),
        runtime,
    )?;
    card::write_card(&args.out, &draft, &run, &bundle.manifest, &figures)?;
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
    bundle: &ImageCodecBundle,
    runtime: &Runtime,
) -> Result<(), TrainingError> {
    let figures = measure_bundle(bundle, &args.photos, &args.out, runtime)?;
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
        trained: TrainedParts::Decoder,
        ..before.origin.options
    };
    let training = PhotoTraining {
        options,
        tiles: build_tile_cache(&args.photo.pictures, &args.out)?,
        run: &args.out,
        resume: args.resume,
        stop_step: None,
        start_run: Some(&args.run),
    };
    training.run(&args.device.open_device()?)?;
    let head = add_trained_head(&args.bundle, &PhotoRun::read(&args.out)?)?;
    eprintln!(
        "{} now has head {:?} version {}; its card still shows the figures of the previous version: measure the new \
         one with `training evaluate`",
        args.bundle.display(),
        head.name,
        head.version
    );
    Ok(())
}

fn measure_bundle(
    bundle: &ImageCodecBundle,
    photos: &Path,
    out: &Path,
    runtime: &Runtime,
) -> Result<PhotoEvaluation, TrainingError> {
    evaluation::evaluate(&mut BundleCodec::new(bundle, runtime)?, photos, out)
}

/// Adds the head that a run has trained to a bundle of its latent space, as the next version of its name.
pub(super) fn add_trained_head(bundle: &Path, run: &PhotoRun) -> Result<ImageCodecDraftHead, TrainingError> {
    let (manifest, spec) = (open_photo_bundle(bundle)?.manifest, run.origin.options.spec());
    let version = manifest.next_version(bundles::head_name(&spec));
    let space = manifest.latent_space.to_string();
    let head = bundles::draft_head(&run.model(&Device::flex())?, &spec, &space, version)?;
    add_head(bundle, &head)?;
    Ok(head)
}

pub(super) fn open_photo_bundle(folder: &Path) -> Result<ImageCodecBundle, TrainingError> {
    match AnyBundle::load(folder, BundlePart::Whole)? {
        AnyBundle::ImageCodec(bundle) => Ok(bundle),
        AnyBundle::FixedLatent(_) => Err(TrainingError::NotPhotoBundle { folder: folder.to_owned() }),
    }
}

/// Returns the folder of the photographs' tile cache, which is built if it is missing or outdated.
pub(super) fn build_tile_cache(args: &PhotoFolderArgs, run: &Path) -> Result<PathBuf, TrainingError> {
    let cache = args.tiles.clone().unwrap_or_else(|| run.join("tiles"));
    photos::build_cache(&args.train_folder(), &cache, photos::TileOptions::default())?;
    Ok(cache)
}
