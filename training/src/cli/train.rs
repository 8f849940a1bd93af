//! Command-line options of training.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{DataArgs, GivenOptions, PhotoModelArgs, PhotoTrainingArgs};
use crate::{
    ReconstructionLoss, RunError, TrainingDevice, TrainingError,
    definition::{Blueprint, Definition},
    photo::{PhotoOptions, TrainedParts, steps::PhotoTrainOptions},
    steps::TrainOptions,
};

/// Name of the image codec's preset, which does not have a definition.
const PHOTO_PRESET: &str = "photo";

/// Options that only definitions use, and options that only the photo preset uses.
const DEFINITION_ONLY: [&str; 9] =
    ["data", "limit", "labels", "normal", "loss", "epochs", "encoder_rate", "decoder_rate", "frame_bytes"];
const PHOTO_ONLY: [&str; 10] =
    ["photos", "tiles", "steps", "crop", "width", "blocks", "distortion", "decoder_only", "from", "until"];

/// Options of `train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// Folder of the run [default: runs/PRESET]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub photo: PhotoTrainingArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub photo_model: PhotoModelArgs,
    /// The model to train: a preset (fashion-dense, fashion-conv, fashion-sr, fashion-skip, fashion-vae,
    /// fashion-multitask, fashion-semi, fashion-anomaly, digits-anomaly, shuttle, series-gru, photo) or the
    /// path of a definition (.toml)
    #[arg(long, default_value = "fashion-dense", value_name = "MODEL")]
    pub preset: String,
    /// Number of samples that keep their label, drawn evenly from the classes [default: the definition's]
    #[arg(long, value_name = "N")]
    pub labels: Option<usize>,
    /// The one class to learn, which counts as normal [default: the definition's]
    #[arg(long, value_name = "CLASS")]
    pub normal: Option<u8>,
    /// Reconstruction loss [default: the definition's]
    #[arg(long, value_enum)]
    pub loss: Option<ReconstructionLoss>,
    /// Number of passes over the data [default: the definition's]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Samples per step [default: the definition's, preset photo: 6]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Highest learning rate of both halves; it falls to 0 along half a cosine [default: the definition's,
    /// preset photo: 0.0006]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Highest learning rate of the encoder [default: --learning-rate]
    #[arg(long, value_name = "RATE")]
    pub encoder_rate: Option<f64>,
    /// Highest learning rate of the decoder [default: --learning-rate]
    #[arg(long, value_name = "RATE")]
    pub decoder_rate: Option<f64>,
    /// Seed of the initial weights, the order of the samples and their qualities [default: the definition's,
    /// preset photo: 1]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Resume the run in the run's folder
    #[arg(long)]
    pub resume: bool,
    /// Keep the encoder frozen: the lapped transform, or the encoder of --from [preset photo]
    #[arg(long)]
    pub decoder_only: bool,
    /// Start from the weights of another run [preset photo]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub from: Option<PathBuf>,
    /// Stop after step N, to continue later with --resume [preset photo]
    #[arg(long, value_name = "N")]
    pub until: Option<usize>,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = TrainingDevice::Flex)]
    pub device: TrainingDevice,
}

impl TrainArgs {
    /// Returns the run's folder.
    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        let name = Path::new(&self.preset).file_stem().unwrap_or_default();
        self.run.clone().unwrap_or_else(|| Path::new("runs").join(name))
    }

    /// Refuses the options that do not apply to the model to train.
    ///
    /// # Errors
    /// [`RunError::NotApplicable`].
    pub fn check_given(&self, given: &GivenOptions) -> Result<(), RunError> {
        if self.preset == PHOTO_PRESET {
            given.refuse(&DEFINITION_ONLY, "preset photo")
        } else {
            given.refuse(&PHOTO_ONLY, "models with a definition, only on preset photo")
        }
    }

    /// Returns the blueprint of the model to train, with the overrides of the command line; `None` for the
    /// photo preset.
    ///
    /// # Errors
    /// [`TrainingError`] for a model that does not exist or violates a rule.
    pub fn blueprint(&self) -> Result<Option<Blueprint>, TrainingError> {
        if self.preset == PHOTO_PRESET {
            return Ok(None);
        }
        let mut definition = Definition::find(&self.preset)?;
        let training = &mut definition.training;
        training.epochs = self.epochs.unwrap_or(training.epochs);
        training.batch = self.batch.unwrap_or(training.batch);
        training.seed = self.seed.unwrap_or(training.seed);
        training.encoder_rate = self.encoder_rate.or(self.learning_rate).unwrap_or(training.encoder_rate);
        training.decoder_rate = self.decoder_rate.or(self.learning_rate).unwrap_or(training.decoder_rate);
        definition.data.labels = self.labels.or(definition.data.labels);
        definition.data.normal = self.normal.or(definition.data.normal);
        let reconstruction = &mut definition.objective.reconstruction;
        reconstruction.loss = self.loss.unwrap_or(reconstruction.loss);
        definition.check(&self.preset).map(Some)
    }

    /// Returns the options that determine the result of the photo preset.
    #[must_use]
    pub fn photo_options(&self) -> PhotoOptions {
        PhotoOptions {
            width: self.photo_model.width,
            blocks: self.photo_model.blocks,
            steps: self.photo.steps.max(1),
            batch: self.batch.unwrap_or(6).max(1),
            crop: self.photo.crop,
            learning_rate: self.learning_rate.unwrap_or(6e-4),
            seed: self.seed.unwrap_or(1),
            distortion: self.photo.distortion,
            trained: if self.decoder_only { TrainedParts::Decoder } else { TrainedParts::Both },
            scale: 1,
        }
    }

    /// Returns the options of the training of a model with this blueprint.
    pub(crate) fn definition_run(&self, blueprint: Blueprint) -> TrainOptions {
        TrainOptions {
            blueprint,
            data: self.data.folder(),
            run: self.run_folder(),
            resume: self.resume,
            device: self.device,
        }
    }

    /// Returns the options of the training of the photo preset.
    pub(crate) fn photo_run(&self) -> PhotoTrainOptions {
        PhotoTrainOptions {
            training: self.photo_options(),
            folders: self.photo.pictures.folders(),
            run: self.run_folder(),
            resume: self.resume,
            stop_step: self.until,
            start_run: self.from.clone(),
            device: self.device,
        }
    }
}
