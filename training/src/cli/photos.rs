//! Command-line options of the commands that learn from photographs.

use std::path::PathBuf;

use clap::Args;

use super::RuntimeArgs;
use crate::{
    TrainingDevice,
    photo::{
        DistortionMeasure, finetune::FinetuneOptions, folders::PhotoFolders, options::DecoderSchedule,
        upscale::UpscaleOptions,
    },
};

pub(super) const UPSCALE_EXAMPLES: &str = "\
Examples:
  training upscale --bundle bundles/photo --run runs/photo --photos data/photos
  training upscale --bundle bundles/photo --run runs/photo --steps 8000 --until 1000
  training upscale --bundle bundles/photo --run runs/photo --steps 8000 --resume";

/// Options for the photographs and their tile cache.
#[derive(Debug, Clone, Args)]
pub struct PhotoFolderArgs {
    /// Folder of photographs, searched recursively; its subfolders train and test are used if they exist, as
    /// `data photos` creates them [preset photo]
    #[arg(long, env = "LOPSIDE_PHOTOS", default_value = "data/photos", value_name = "DIR")]
    pub photos: PathBuf,
    /// Folder of the tile cache [default: tiles in the run's folder]
    #[arg(long, value_name = "DIR")]
    pub tiles: Option<PathBuf>,
}

/// Options for the photographs and for a photo training.
#[derive(Debug, Clone, Args)]
pub struct PhotoTrainingArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pictures: PhotoFolderArgs,
    /// Number of training steps [preset photo]
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    pub steps: usize,
    /// Side of the training crops in pixels, a multiple of 32 up to 256 [preset photo]
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    pub crop: usize,
    /// Distortion measure of the loss [preset photo]
    #[arg(long, value_enum, default_value_t = DistortionMeasure::Mse)]
    pub distortion: DistortionMeasure,
}

/// Options for the size of an image codec's decoder.
#[derive(Debug, Clone, Args)]
pub struct PhotoModelArgs {
    /// Channels of the decoder's residual network [preset photo]
    #[arg(long, default_value_t = 96, value_name = "N")]
    pub width: usize,
    /// Residual blocks of the decoder [preset photo]
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub blocks: usize,
}

impl PhotoFolderArgs {
    /// Returns the folders.
    pub(crate) fn folders(&self) -> PhotoFolders {
        PhotoFolders { photographs: self.photos.clone(), tiles: self.tiles.clone() }
    }
}

/// Options of `finetune-decoder`.
#[derive(Debug, Clone, Args)]
pub struct FinetuneArgs {
    /// The bundle that gets the new head version
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run to start from
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// Folder of the new run
    #[arg(long, default_value = "runs/photo-finetuned", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub photo: PhotoTrainingArgs,
    /// Images per step
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-4, value_name = "RATE")]
    pub learning_rate: f64,
    /// Seed of the random choice of images and qualities
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
    /// Resume the run in the output folder
    #[arg(long)]
    pub resume: bool,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = TrainingDevice::Flex)]
    pub device: TrainingDevice,
}

impl FinetuneArgs {
    /// Returns the options of the step.
    pub(crate) fn options(&self) -> FinetuneOptions {
        FinetuneOptions {
            bundle: self.bundle.clone(),
            start_run: self.run.clone(),
            run: self.out.clone(),
            folders: self.photo.pictures.folders(),
            schedule: DecoderSchedule {
                steps: self.photo.steps.max(1),
                batch: self.batch.max(1),
                crop: self.photo.crop,
                learning_rate: self.learning_rate,
                seed: self.seed,
                distortion: self.photo.distortion,
            },
            resume: self.resume,
            device: self.device,
        }
    }
}

/// Options of `upscale`.
#[derive(Debug, Clone, Args)]
pub struct UpscaleArgs {
    /// The bundle that gets the head
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run that the bundle was made from; its encoder must match the bundle's, and the new decoder starts
    /// from its decoder
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// Folder of the new run
    #[arg(long, default_value = "runs/photo-upscale", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pictures: PhotoFolderArgs,
    /// Number of training steps
    #[arg(long, default_value_t = 4000, value_name = "N")]
    pub steps: usize,
    /// Images per step
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub batch: usize,
    /// Side of the training crops in pixels, a multiple of 64 up to 256; the encoder sees them at half the
    /// size
    #[arg(long, default_value_t = 192, value_name = "PIXELS")]
    pub crop: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 5e-4, value_name = "RATE")]
    pub learning_rate: f64,
    /// Seed of the random choice of images and qualities, and of the weights that do not come from the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Channels of the residual network [default: the run's]
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Residual blocks; if the width is the run's, the first ones start from the run's blocks
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub blocks: usize,
    /// Distortion measure of the loss
    #[arg(long, value_enum, default_value_t = DistortionMeasure::Mse)]
    pub distortion: DistortionMeasure,
    /// Stop after step N, to continue later with --resume; the bundle gets the head in its state at that step
    #[arg(long, value_name = "N")]
    pub until: Option<usize>,
    /// Resume the run in the output folder
    #[arg(long)]
    pub resume: bool,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = TrainingDevice::Flex)]
    pub device: TrainingDevice,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArgs,
}

impl UpscaleArgs {
    /// Returns the options of the step.
    pub(crate) fn options(&self) -> UpscaleOptions {
        UpscaleOptions {
            bundle: self.bundle.clone(),
            start_run: self.run.clone(),
            run: self.out.clone(),
            folders: self.pictures.folders(),
            schedule: DecoderSchedule {
                steps: self.steps.max(1),
                batch: self.batch.max(1),
                crop: self.crop,
                learning_rate: self.learning_rate,
                seed: self.seed,
                distortion: self.distortion,
            },
            width: self.width,
            blocks: self.blocks,
            stop_step: self.until,
            resume: self.resume,
            device: self.device,
        }
    }
}
