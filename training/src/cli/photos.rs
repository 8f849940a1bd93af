//! Options of what learns from photographs.

use std::path::PathBuf;

use clap::Args;

use super::{RuntimeArg, TrainDevice};
use crate::photo::Distortion;

pub(super) const UPSCALE_EXAMPLES: &str = "\
Examples:
  training upscale --bundle bundles/photo --run runs/photo --photos data/photos
  training upscale --bundle bundles/photo --run runs/photo --steps 8000 --until 1000
  training upscale --bundle bundles/photo --run runs/photo --steps 8000 --resume";

/// Photographs.
#[derive(Debug, Clone, Args)]
pub struct PicturesArgs {
    /// Photographs, searched recursively; a folder that `data photos` made is known by its train and test [preset
    /// photo]
    #[arg(long, env = "LOPSIDE_PHOTOS", default_value = "data/photos", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where their tiles are kept [default: tiles in the run's folder]
    #[arg(long, value_name = "DIR")]
    pub tiles: Option<PathBuf>,
}

/// Photographs and what is made of them.
#[derive(Debug, Clone, Args)]
pub struct PhotoArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pictures: PicturesArgs,
    /// Training steps [preset photo]
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    pub steps: usize,
    /// The side of the pictures of a step in pixels, a multiple of 32 [preset photo]
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    pub crop: usize,
    /// Channels of the decoder's residual network [preset photo]
    #[arg(long, default_value_t = 96, value_name = "N")]
    pub width: usize,
    /// Its residual blocks [preset photo]
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub blocks: usize,
    /// What counts as distortion [preset photo]
    #[arg(long, value_enum, default_value_t = Distortion::Mse)]
    pub distortion: Distortion,
}

impl PicturesArgs {
    /// The folder of photographs to learn from.
    #[must_use]
    pub fn train(&self) -> PathBuf {
        self.part("train")
    }

    /// The folder of photographs to measure on.
    #[must_use]
    pub fn test(&self) -> PathBuf {
        self.part("test")
    }

    fn part(&self, name: &str) -> PathBuf {
        let part = self.photos.join(name);
        if part.is_dir() { part } else { self.photos.clone() }
    }
}

/// Options of `finetune-decoder`.
#[derive(Debug, Clone, Args)]
pub struct FinetuneArgs {
    /// The bundle that gets the new head version
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run to go on from
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// The folder of the new run
    #[arg(long, default_value = "runs/photo-finetuned", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub photo: PhotoArgs,
    /// Pictures a step
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub batch: usize,
    /// The first learning rate
    #[arg(long, default_value_t = 2e-4, value_name = "RATE")]
    pub learning_rate: f64,
    /// Decides pictures and qualities
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
    /// Go on from the new run's folder
    #[arg(long)]
    pub resume: bool,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
}

/// Options of `upscale`.
#[derive(Debug, Clone, Args)]
pub struct UpscaleArgs {
    /// The bundle that gets the head
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run that the bundle was made of: its encoder counts, its decoder is what the new one starts from
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// The folder of the new run
    #[arg(long, default_value = "runs/photo-upscale", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pictures: PicturesArgs,
    /// Training steps
    #[arg(long, default_value_t = 4000, value_name = "N")]
    pub steps: usize,
    /// Pictures a step
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub batch: usize,
    /// The side of a step's pictures in pixels, a multiple of 64; the encoder sees them at half the size
    #[arg(long, default_value_t = 192, value_name = "PIXELS")]
    pub crop: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = 5e-4, value_name = "RATE")]
    pub learning_rate: f64,
    /// Decides pictures, qualities and the initial weights of what does not come from the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Channels of the residual network [default: the run's]
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Its residual blocks; of the run's width, the first ones start from the run's
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub blocks: usize,
    /// What counts as distortion
    #[arg(long, value_enum, default_value_t = Distortion::Mse)]
    pub distortion: Distortion,
    /// Stop after step N, to go on later with --resume; the bundle gets the head as it is then
    #[arg(long, value_name = "N")]
    pub until: Option<usize>,
    /// Go on from the new run's folder
    #[arg(long)]
    pub resume: bool,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArg,
}
