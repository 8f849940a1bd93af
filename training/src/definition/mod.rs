//! What a model is: a TOML file that names its layers, what it learns and how.
//!
//! ```text
//! preset's name or path ─► TOML ─► Definition ─check─► Blueprint (every shape known) ─► net, describe, train
//! ```
//! A definition that breaks a rule is refused with the file, the place in it, what is wrong and how to put it right;
//! nothing that a file says is allocated before it is within the limits of `check.rs`.

mod blueprint;
mod check;
mod difference;
mod layer;
mod objective;
mod presets;
mod shape;
mod signal;
mod stages;

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

pub use blueprint::{Blueprint, Cell, Operation, Stage, Tap};
pub use difference::differences;
pub use layer::{Activation, Layer};
pub use objective::{Consistency, Contrastive, ContrastiveKind, Objective, Reconstruction};
pub use presets::PRESETS;
pub use shape::Shape;
pub use signal::{Channels, Picture, Series, Signal};

use crate::{TrainingError, error::io};

/// A model, its data, its objective and its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// Its name, 1 to 64 of a–z, 0–9 and -.
    pub name: String,
    /// The name of the bundle it makes, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// One line for people.
    pub description: String,
    /// What it learns from.
    pub data: Data,
    /// What the encoder sees.
    pub input: Signal,
    /// What the decoder makes; without it, the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Signal>,
    /// z = f(x; θ).
    pub encoder: Encoder,
    /// x̂ = g(z; φ).
    pub decoder: Decoder,
    /// C(z).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Classifier>,
    /// Makes the latent a distribution while training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variational: Option<Variational>,
    /// Gives the bundle a head that scores how unusual a sample is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// What training minimises.
    #[serde(default)]
    pub objective: Objective,
    /// How large frames are made.
    #[serde(default)]
    pub frame: Frame,
    /// How.
    pub training: Training,
}

/// What a model learns from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The data set's name, for people; its folder is the command line's `--data`.
    pub set: String,
    /// How many samples keep their label, drawn evenly from the classes; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
    /// The one class that is learnt and counts as normal; the others are anomalies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<u8>,
    /// Of series: rows from the start of a window to the start of the next; without it, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
}

/// How large frames are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// The mean frame of the training samples, header and id included, in bytes.
    pub bytes: f64,
}

impl Default for Frame {
    fn default() -> Self {
        Self { bytes: 28.0 }
    }
}

/// A head that scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// The parts whose sum is the score; the others are measured beside it.
    pub parts: Vec<AnomalyPart>,
    /// The quantile, 0 to 1, from which a sample counts as an anomaly.
    #[serde(default = "threshold")]
    pub threshold: f32,
}

/// What a score can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyPart {
    /// What the latent costs.
    Bits,
    /// The distance between a latent and that of its reconstruction.
    ReEncoding,
    /// The Mahalanobis distance of the latent from the normal ones.
    Mahalanobis,
    /// The squared error of the reconstruction; needs the input beside the frame.
    Error,
    /// The same over the input's energy; needs the input beside the frame.
    RelativeError,
}

impl AnomalyPart {
    /// All there are, in the order in which a bundle has them.
    pub const ALL: [Self; 5] =
        [Self::Bits, Self::ReEncoding, Self::Mahalanobis, Self::Error, Self::RelativeError];

    /// Whether only who has the input can tell it.
    #[must_use]
    pub const fn needs_input(self) -> bool {
        matches!(self, Self::Error | Self::RelativeError)
    }

    /// Its name in a bundle.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bits => "bits",
            Self::ReEncoding => "re-encoding",
            Self::Mahalanobis => "mahalanobis",
            Self::Error => "error",
            Self::RelativeError => "relative-error",
        }
    }
}

fn threshold() -> f32 {
    0.99
}

/// The encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Its layers, input first; the last gives the latent.
    pub layers: Vec<Layer>,
}

/// The decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Its layers, latent first.
    pub layers: Vec<Layer>,
    /// What becomes of the last layer's values.
    pub activation: OutputActivation,
}

/// The decoder's last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputActivation {
    /// 1 / (1 + e^(−x)), for samples of 0 to 1; losses see the logits.
    Sigmoid,
    /// As they are.
    Identity,
}

/// A classifier on the latent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// The classes' names, in the order of the labels.
    pub labels: Vec<String>,
    /// Its layers; the last gives one logit a class.
    pub layers: Vec<Layer>,
}

/// The encoder's last layer gives mean and log-variance of a normal distribution; what is exported is the mean
/// (Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variational {
    /// The weight of the Kullback–Leibler divergence (Higgins et al., "beta-VAE", ICLR 2017, eq. 4).
    pub beta: f64,
}

/// How a model is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Training {
    /// Passes over the data.
    pub epochs: usize,
    /// Samples a step.
    pub batch: usize,
    /// The first learning rate of the encoder's parameters θ.
    pub encoder_rate: f64,
    /// The first learning rate of the decoder's and the classifier's parameters φ.
    pub decoder_rate: f64,
    /// Decides the initial weights and the order of the samples.
    pub seed: u64,
}

impl Definition {
    /// The definition of a preset's name or in a file. Whatever names a file that is there, or has a `/` or ends in
    /// `.toml`, is a path.
    ///
    /// # Errors
    /// [`TrainingError::NoModel`] for a name that is neither, [`TrainingError::Toml`] for text that is no
    /// definition, [`TrainingError::Io`].
    pub fn find(model: &str) -> Result<Self, TrainingError> {
        if let Some((_, text)) = PRESETS.iter().find(|(name, _)| *name == model) {
            return Self::parse(text, model);
        }
        let path = Path::new(model);
        let names_file = model.contains('/') || path.extension().is_some_and(|extension| extension == "toml");
        if !names_file && !path.is_file() {
            return Err(TrainingError::NoModel { model: model.to_owned() });
        }
        Self::parse(&fs::read_to_string(path).map_err(io(path))?, model)
    }

    /// The definition in a TOML text; `file` is what an error calls it.
    ///
    /// # Errors
    /// [`TrainingError::Toml`], with line and column.
    pub fn parse(text: &str, file: &str) -> Result<Self, TrainingError> {
        toml::from_str(text)
            .map_err(|source| TrainingError::Toml { file: file.to_owned(), source: Box::new(source) })
    }

    /// The definition with every shape in it known; `file` is what an error calls it.
    ///
    /// # Errors
    /// [`TrainingError::Definition`] with the place, what is wrong there and the fix.
    pub fn check(self, file: &str) -> Result<Blueprint, TrainingError> {
        check::check(self).map_err(|fault| TrainingError::Definition {
            file: file.to_owned(),
            place: fault.place,
            what: fault.what,
            fix: fault.fix,
        })
    }

    /// What the decoder makes.
    #[must_use]
    pub fn output(&self) -> &Signal {
        self.output.as_ref().unwrap_or(&self.input)
    }

    /// The name of the bundle it makes.
    #[must_use]
    pub fn bundle_name(&self) -> &str {
        self.bundle.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests;
