//! The subcommands that photographs share with models that have a definition.

use std::path::{Path, PathBuf};

use lopside_bundle::image_codec::ImageCodecBundle;
use lopside_decoder::Runtime;

use super::{
    PhotoOptions,
    bundle::{self as bundles, open_bundle},
    bundle_codec::BundleCodec,
    card,
    evaluate::{self as evaluation, PhotoEvaluation},
    folders::PhotoFolders,
    run::PhotoRun,
    train::PhotoTraining,
};
use crate::{TrainingDevice, TrainingError, card::DRAFT_CARD};

/// Options of `train --preset photo`.
#[derive(Debug)]
pub(crate) struct PhotoTrainOptions {
    /// The options that determine the result.
    pub(crate) training: PhotoOptions,
    /// The folders that the training reads.
    pub(crate) folders: PhotoFolders,
    /// Folder of the run.
    pub(crate) run: PathBuf,
    /// Whether to resume the training in `run`.
    pub(crate) resume: bool,
    /// The step to stop after; `None` trains to the end.
    pub(crate) stop_step: Option<usize>,
    /// The run whose averaged weights to start from; `None` starts from fresh weights.
    pub(crate) start_run: Option<PathBuf>,
    /// The device to train on.
    pub(crate) device: TrainingDevice,
}

/// Runs `train --preset photo`.
pub(crate) fn train(options: &PhotoTrainOptions) -> Result<(), TrainingError> {
    let training = PhotoTraining {
        options: options.training.clone(),
        tiles: options.folders.build_tile_cache(&options.run)?,
        run: &options.run,
        resume: options.resume,
        stop_step: options.stop_step,
        start_run: options.start_run.as_deref(),
    };
    training.run(&options.device.open()?)
}

/// Runs `bundle --preset photo`; the bundle is written to `out`.
pub(crate) fn bundle(
    options: &PhotoTrainOptions,
    out: &Path,
    runtime: &Runtime,
) -> Result<(), TrainingError> {
    train(options)?;
    let run = PhotoRun::read(&options.run)?;
    let draft = bundles::draft(&run, &options.folders.train_folder())?;
    draft.write(out, DRAFT_CARD)?;
    let bundle = open_bundle(out)?;
    let test = options.folders.test_folder();
    let figures = measure_bundle(&bundle, &test, &options.run.join("evaluation"), runtime)?;
    card::write_card(out, &draft, &run, &bundle.manifest, &figures)?;
    print!("{}", figures.table());
    eprintln!("bundle in {}", out.display());
    Ok(())
}

/// Runs `calibrate` for a photo run: counts the tables on `photos` and writes the bundle to `out`.
pub(crate) fn calibrate(run: &Path, photos: &Path, out: &Path) -> Result<(), TrainingError> {
    bundles::draft(&PhotoRun::read(run)?, photos)?.write(out, DRAFT_CARD)?;
    eprintln!("bundle in {}", out.display());
    Ok(())
}

/// Runs `evaluate` for a photo bundle: measures it on `photos`, writes the figures to `out` and prints them, as
/// JSON or as a table.
pub(crate) fn evaluate(
    bundle: &ImageCodecBundle,
    photos: &Path,
    out: &Path,
    json: bool,
    runtime: &Runtime,
) -> Result<(), TrainingError> {
    let figures = measure_bundle(bundle, photos, out, runtime)?;
    if json {
        print!("{}", figures.json()?);
    } else {
        print!("{}", figures.table());
    }
    eprintln!("curves and images in {}", out.display());
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
