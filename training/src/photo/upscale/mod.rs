//! `upscale`: trains a second decoder for existing latents, which makes images of twice the size.
//!
//! ```text
//! photograph ─halved─► frozen encoder ─► quantise ─┬─► frozen inverse transform ─► doubled ─┬─► + ─► photograph
//!                                                  └─► residual network ─┬─► doubled ───────┤
//!                                                                        └─► detail at 1/4 ─┘
//! ```
//! The head starts as the cubic enlargement of the output that the run's decoder has with its first blocks,
//! because the tail of the detail branch is zero. Encoder, frames and other heads stay the same.

mod card;
mod figures;

use std::path::PathBuf;

use burn::tensor::Device;
use lopside_bundle::Digest;
use lopside_decoder::Runtime;
use lopside_onnx::encode_model;

use super::{
    bundle::{add_trained_head, open_bundle},
    bundle_codec::BundleCodec,
    export,
    folders::PhotoFolders,
    options::DecoderSchedule,
    run::PhotoRun,
    train::PhotoTraining,
};
use crate::{BundleUpdateError, TrainingDevice, TrainingError, photos};

pub(crate) use figures::measure;
pub use figures::{Similarity, UpscalingReport, UpscalingRow};

/// Size of the images relative to those that the encoder sees.
const SCALE: usize = 2;

/// Options of `upscale`.
#[derive(Debug)]
pub(crate) struct UpscaleOptions {
    /// The bundle that gets the head.
    pub(crate) bundle: PathBuf,
    /// The run that the bundle was made from, whose decoder the new one starts from.
    pub(crate) start_run: PathBuf,
    /// Folder of the new run.
    pub(crate) run: PathBuf,
    /// The folders that the training reads.
    pub(crate) folders: PhotoFolders,
    /// The options of the training.
    pub(crate) schedule: DecoderSchedule,
    /// Channels of the residual network; `None` is the width of `start_run`.
    pub(crate) width: Option<usize>,
    /// Residual blocks.
    pub(crate) blocks: usize,
    /// The step to stop after; `None` trains to the end.
    pub(crate) stop_step: Option<usize>,
    /// Whether to resume the training in `run`.
    pub(crate) resume: bool,
    /// The device to train on.
    pub(crate) device: TrainingDevice,
}

/// Runs the subcommand.
pub(crate) fn run(options: &UpscaleOptions, runtime: &Runtime) -> Result<(), TrainingError> {
    let start = PhotoRun::read(&options.start_run)?;
    check_encoder(options, &start)?;
    train(options, &start)?;
    let run = PhotoRun::read(&options.run)?;
    let head = add_trained_head(&options.bundle, &run)?;
    eprintln!("{} now has head {:?} version {}", options.bundle.display(), head.name, head.version);
    report(options, &run, runtime)
}

fn train(options: &UpscaleOptions, start: &PhotoRun) -> Result<(), TrainingError> {
    let width = options.width.unwrap_or(start.origin.options.width);
    let training = PhotoTraining {
        options: options.schedule.for_shape(width, options.blocks, SCALE),
        tiles: options.folders.build_tile_cache(&options.run)?,
        run: &options.run,
        resume: options.resume,
        stop_step: options.stop_step,
        start_run: Some(&options.start_run),
    };
    training.run(&options.device.open()?)
}

/// Checks that the run's encoder is the one that defines the bundle's latent space.
fn check_encoder(options: &UpscaleOptions, run: &PhotoRun) -> Result<(), TrainingError> {
    let encoder = export::encoder_graph(&run.model(&Device::flex())?, &run.origin.options.spec())?;
    if Digest::of(&encode_model(&encoder)) == open_bundle(&options.bundle)?.manifest.encoder.model.sha256 {
        return Ok(());
    }
    let (run, bundle) = (options.start_run.clone(), options.bundle.clone());
    Err(BundleUpdateError::EncoderMismatch { run, bundle }.into())
}

/// Measures the head on the test photographs and writes its figures into the card.
fn report(options: &UpscaleOptions, run: &PhotoRun, runtime: &Runtime) -> Result<(), TrainingError> {
    let images: Vec<_> = photos::whole_photos(&options.folders.test_folder())?.collect::<Result<_, _>>()?;
    let mut codec = BundleCodec::new(&open_bundle(&options.bundle)?, runtime)?;
    let Some(figures) = measure(&mut codec, &images)? else { return Ok(()) };
    card::write_section(&options.bundle, run, &figures)?;
    print!("{}", figures.table());
    Ok(())
}
