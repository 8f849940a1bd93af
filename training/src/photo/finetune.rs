//! `finetune-decoder`: trains the decoder of a run further, against its frozen encoder.

use std::path::PathBuf;

use super::{
    bundle::add_trained_head, folders::PhotoFolders, options::DecoderSchedule, run::PhotoRun,
    train::PhotoTraining,
};
use crate::{TrainingDevice, TrainingError};

/// Options of `finetune-decoder`.
#[derive(Debug)]
pub(crate) struct FinetuneOptions {
    /// The bundle that gets the new head version.
    pub(crate) bundle: PathBuf,
    /// The run to start from.
    pub(crate) start_run: PathBuf,
    /// Folder of the new run.
    pub(crate) run: PathBuf,
    /// The folders that the training reads.
    pub(crate) folders: PhotoFolders,
    /// The options of the training; the decoder keeps its shape.
    pub(crate) schedule: DecoderSchedule,
    /// Whether to resume the training in `run`.
    pub(crate) resume: bool,
    /// The device to train on.
    pub(crate) device: TrainingDevice,
}

/// Runs the subcommand.
pub(crate) fn run(options: &FinetuneOptions) -> Result<(), TrainingError> {
    let start_options = PhotoRun::read(&options.start_run)?.origin.options;
    let training = PhotoTraining {
        options: options.schedule.for_shape(start_options.width, start_options.blocks, start_options.scale),
        tiles: options.folders.build_tile_cache(&options.run)?,
        run: &options.run,
        resume: options.resume,
        stop_step: None,
        start_run: Some(&options.start_run),
    };
    training.run(&options.device.open()?)?;
    let head = add_trained_head(&options.bundle, &PhotoRun::read(&options.run)?)?;
    eprintln!(
        "{} now has head {:?} version {}; its card still shows the figures of the previous version: measure the new \
         one with `training evaluate`",
        options.bundle.display(),
        head.name,
        head.version
    );
    Ok(())
}
