//! Model definitions: TOML files that describe a model's layers, data, objective and training.
//!
//! ```text
//! preset's name or path ─► TOML ─► Definition ─check─► Blueprint (every shape known) ─► net, describe, train
//! ```
//! A definition that breaks a rule is rejected with the file, the path of the key, the problem and the fix.
//! Memory for a model is allocated only after all sizes were checked against the limits in `check.rs`.

mod blueprint;
mod check;
mod difference;
mod layer;
mod objective;
mod presets;
mod rules;
mod shape;
mod signal;
mod stages;

use std::{fs, path::Path};

use lopside_bundle::TableSpec;
use serde::{Deserialize, Serialize};

pub use blueprint::{Blueprint, Operation, RecurrentCell, Stage, Tap};
pub use difference::differences;
pub use layer::{Activation, Layer};
pub use objective::{ConsistencyTerm, ContrastiveKind, ContrastiveTerm, Objective, ReconstructionTerm};
pub use presets::PRESETS;
pub use shape::Shape;
pub use signal::{Channels, ImageSignal, SeriesSignal, Signal};

use crate::{DefinitionError, TrainingError, error::io_error};

/// A model with its data, objective and training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// Name of the model, 1 to 64 of the characters a–z, 0–9 and -.
    pub name: String,
    /// Name of the bundle, if it differs from the model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// One-line description for people.
    pub description: String,
    /// Training data.
    pub data: TrainingData,
    /// Input signal of the encoder.
    pub input: Signal,
    /// Output signal of the decoder; `None` is the input signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Signal>,
    /// The encoder, z = f(x; θ).
    pub encoder: EncoderDefinition,
    /// The decoder, x̂ = g(z; φ).
    pub decoder: DecoderDefinition,
    /// The classifier, C(z).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<ClassifierDefinition>,
    /// If present, the latent is a distribution during training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variational: Option<VariationalOptions>,
    /// If present, the bundle gets a head that computes an anomaly score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<AnomalyDefinition>,
    /// Training objective.
    #[serde(default)]
    pub objective: Objective,
    /// Frame size.
    #[serde(default)]
    pub frame: FrameBudget,
    /// Training options.
    pub training: TrainingOptions,
}

/// The training data of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// Name of the data set, for people; its folder is the command-line option `--data`.
    pub set: String,
    /// Number of samples that keep their label, drawn evenly from the classes; `None` keeps all labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
    /// The class that counts as normal and is the only one to be trained on; the others are anomalies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<u8>,
    /// For time series: rows between the starts of consecutive windows, 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// For time series: the form of the tables that devices read, which the bundle declares. The columns of its time, if
    /// the training data has them, are not channels, and no window contains a gap of the time. Missing numbers are
    /// treated as on a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
}

/// Target size of frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameBudget {
    /// Upper bound on the mean frame size over the training samples, in bytes, including header and
    /// latent-space id.
    pub bytes: f64,
}

impl Default for FrameBudget {
    fn default() -> Self {
        Self { bytes: 28.0 }
    }
}

/// The anomaly score of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnomalyDefinition {
    /// Parts that are added to form the score; the others are reported alongside.
    pub parts: Vec<AnomalyPart>,
    /// Quantile from which a sample counts as an anomaly, 0 to 1, 0.99 by default.
    #[serde(default = "default_threshold")]
    pub threshold: f32,
}

/// A part of an anomaly score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyPart {
    /// The bits that the latent costs.
    Bits,
    /// Distance between the latent and the latent of its reconstruction.
    ReEncoding,
    /// Mahalanobis distance of the latent from the normal ones.
    Mahalanobis,
    /// Squared error of the reconstruction; requires the reference input.
    Error,
    /// Squared error of the reconstruction relative to the input's energy; requires the reference input.
    RelativeError,
}

impl AnomalyPart {
    /// All parts, in the order of a bundle.
    pub const ALL: [Self; 5] =
        [Self::Bits, Self::ReEncoding, Self::Mahalanobis, Self::Error, Self::RelativeError];

    /// Returns whether the part requires the reference input.
    #[must_use]
    pub const fn needs_input(self) -> bool {
        matches!(self, Self::Error | Self::RelativeError)
    }

    /// Returns the name used in bundles.
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

fn default_threshold() -> f32 {
    0.99
}

/// The encoder of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderDefinition {
    /// Layers from the input to the latent.
    pub layers: Vec<Layer>,
}

/// The decoder of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderDefinition {
    /// Layers from the latent to the output.
    pub layers: Vec<Layer>,
    /// Activation after the last layer.
    pub activation: OutputActivation,
}

/// The activation after the decoder's last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputActivation {
    /// 1 / (1 + e^(−x)), for samples from 0 to 1; losses are computed on the logits.
    Sigmoid,
    /// The values are left unchanged.
    Identity,
}

/// A classifier that reads the latent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierDefinition {
    /// Names of the classes, in the order of the label numbers.
    pub labels: Vec<String>,
    /// Layers from the latent to the logits, one logit per class.
    pub layers: Vec<Layer>,
}

/// Options of a variational model. The encoder's last layer computes the mean and the log-variance of a
/// normal distribution; the exported model computes the mean only (Kingma and Welling, "Auto-encoding
/// variational Bayes", ICLR 2014).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariationalOptions {
    /// Weight of the Kullback–Leibler divergence (Higgins et al., "beta-VAE", ICLR 2017, eq. 4).
    pub beta: f64,
}

/// Training options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainingOptions {
    /// Number of passes over the data.
    pub epochs: usize,
    /// Number of samples per step.
    pub batch: usize,
    /// Initial learning rate of the encoder's parameters θ.
    pub encoder_rate: f64,
    /// Initial learning rate of the decoder's and the classifier's parameters φ.
    pub decoder_rate: f64,
    /// Seed of the initial weights and of the order of the samples.
    pub seed: u64,
}

impl Definition {
    /// Reads a definition from a preset or from a file. `model` is a path if the file exists, or if it
    /// contains a `/` or ends in `.toml`; a preset's name takes precedence.
    ///
    /// # Errors
    /// [`DefinitionError::UnknownModel`] for a name that is neither a preset nor a file,
    /// [`DefinitionError::InvalidToml`] for an invalid definition, [`TrainingError::Io`].
    pub fn find(model: &str) -> Result<Self, TrainingError> {
        if let Some((_, text)) = PRESETS.iter().find(|(name, _)| *name == model) {
            return Self::parse(text, model);
        }
        let path = Path::new(model);
        let names_file = model.contains('/') || path.extension().is_some_and(|extension| extension == "toml");
        if !names_file && !path.is_file() {
            return Err(DefinitionError::UnknownModel { model: model.to_owned() }.into());
        }
        Self::parse(&fs::read_to_string(path).map_err(io_error(path))?, model)
    }

    /// Parses a definition from TOML; `file` names it in errors.
    ///
    /// # Errors
    /// [`DefinitionError::InvalidToml`], with line and column.
    pub fn parse(text: &str, file: &str) -> Result<Self, TrainingError> {
        let parsed = toml::from_str(text).map_err(|source| DefinitionError::InvalidToml {
            file: file.to_owned(),
            source: Box::new(source),
        });
        Ok(parsed?)
    }

    /// Checks the definition and resolves all shapes; `file` names it in errors.
    ///
    /// # Errors
    /// [`DefinitionError::RuleViolation`] with the path of the key, the problem and the fix.
    pub fn check(self, file: &str) -> Result<Blueprint, TrainingError> {
        let checked = check::check_definition(self).map_err(|violation| DefinitionError::RuleViolation {
            file: file.to_owned(),
            place: violation.path,
            what: violation.problem,
            fix: violation.fix,
        });
        Ok(checked?)
    }

    /// Returns the output signal of the decoder.
    #[must_use]
    pub fn output(&self) -> &Signal {
        self.output.as_ref().unwrap_or(&self.input)
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn bundle_name(&self) -> &str {
        self.bundle.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests;
