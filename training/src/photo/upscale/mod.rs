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

use burn::tensor::Device;
use cloud_decoder::Runtime;
use lopside_bundle::Digest;
use lopside_onnx::encode_model;

use super::{
    PhotoOptions, TrainedParts, export,
    own::BundleCodec,
    run::PhotoRun,
    steps::{add_trained_head, build_tile_cache, open_photo_bundle},
    train::PhotoTraining,
};
use crate::{TrainingError, cli::UpscaleArgs, engines, photos};

pub(crate) use figures::measure;
pub use figures::{Similarity, UpscalingReport, UpscalingRow};

/// Runs the subcommand.
pub(crate) fn run(args: &UpscaleArgs) -> Result<(), TrainingError> {
    let runtime = engines::load_cpu_runtime(&args.runtime.onnxruntime)?;
    let before = PhotoRun::read(&args.run)?;
    check_encoder(args, &before)?;
    train(args, &before)?;
    let run = PhotoRun::read(&args.out)?;
    let head = add_trained_head(&args.bundle, &run)?;
    eprintln!("{} now has head {:?} version {}", args.bundle.display(), head.name, head.version);
    report(args, &run, &runtime)
}

fn train(args: &UpscaleArgs, before: &PhotoRun) -> Result<(), TrainingError> {
    let training = PhotoTraining {
        options: PhotoOptions {
            width: args.width.unwrap_or(before.origin.options.width),
            blocks: args.blocks,
            steps: args.steps.max(1),
            batch: args.batch.max(1),
            crop: args.crop,
            learning_rate: args.learning_rate,
            seed: args.seed,
            distortion: args.distortion,
            trained: TrainedParts::Decoder,
            scale: 2,
        },
        tiles: build_tile_cache(&args.pictures, &args.out)?,
        run: &args.out,
        resume: args.resume,
        stop_step: args.until,
        start_run: Some(&args.run),
    };
    training.run(&args.device.open_device()?)
}

/// Checks that the run's encoder is the one that defines the bundle's latent space.
fn check_encoder(args: &UpscaleArgs, run: &PhotoRun) -> Result<(), TrainingError> {
    let encoder = export::encoder_graph(&run.model(&Device::flex())?, &run.origin.options.spec())?;
    if Digest::of(&encode_model(&encoder)) == open_photo_bundle(&args.bundle)?.manifest.encoder.model.sha256 {
        return Ok(());
    }
    Err(TrainingError::EncoderMismatch { run: args.run.clone(), bundle: args.bundle.clone() })
}

/// Measures the head on the test photographs and writes its figures into the card.
fn report(args: &UpscaleArgs, run: &PhotoRun, runtime: &Runtime) -> Result<(), TrainingError> {
    let pictures: Vec<_> = photos::whole_photos(&args.pictures.test_folder())?.collect::<Result<_, _>>()?;
    let mut codec = BundleCodec::new(&open_photo_bundle(&args.bundle)?, runtime)?;
    let Some(figures) = measure(&mut codec, &pictures)? else { return Ok(()) };
    card::write_section(&args.bundle, run, &figures)?;
    print!("{}", figures.table());
    Ok(())
}
