use serde::{Deserialize, Serialize};

use crate::ReconstructionLoss;

/// The training objective: the weighted sum of these terms, plus the divergence of a variational model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Distance between x̂ and x.
    pub reconstruction: ReconstructionTerm,
    /// λ of λ‖z‖₁, a sum over the latent's values.
    pub sparsity: f64,
    /// α of α·`CrossEntropy`(C(z), y).
    pub classification: f64,
    /// If present, the classifier also learns from samples without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyTerm>,
    /// If present, the latents of similar samples are pulled together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrastive: Option<ContrastiveTerm>,
}

/// Consistency term: a confident prediction for a slightly augmented sample is the target for a strongly
/// augmented one (K. Sohn et al., "`FixMatch`", `NeurIPS` 2020, eq. 4). With this term, labels are learnt
/// from augmented samples as well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyTerm {
    /// Weight of the term, in addition to that of the classification.
    pub weight: f64,
    /// Probability from which a prediction counts as confident, 0 to 1, 0.95 by default.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Whether images may be mirrored.
    #[serde(default)]
    pub flip: bool,
    /// Maximum shift of an image in each direction in pixels, 2 by default.
    #[serde(default = "default_shift")]
    pub shift: u8,
}

fn default_shift() -> u8 {
    2
}

fn default_threshold() -> f64 {
    0.95
}

/// The reconstruction term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionTerm {
    /// The loss function.
    pub loss: ReconstructionLoss,
    /// Weight of the term, 1 by default.
    #[serde(default = "default_weight")]
    pub weight: f64,
}

/// The contrastive term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastiveTerm {
    /// Definition of similar samples.
    pub kind: ContrastiveKind,
    /// Weight of the term.
    pub weight: f64,
    /// Temperature, the divisor of similarities, 0.5 by default.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
    /// Whether images may be mirrored.
    #[serde(default)]
    pub flip: bool,
    /// Maximum shift of an image in each direction in pixels, 2 by default.
    #[serde(default = "default_shift")]
    pub shift: u8,
}

/// Definition of similar samples for the contrastive term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContrastiveKind {
    /// Two augmentations of one sample (T. Chen et al., "A simple framework for contrastive learning of
    /// visual representations", ICML 2020, section 2.1).
    NtXent,
    /// All samples with the same label (P. Khosla et al., "Supervised contrastive learning", `NeurIPS` 2020,
    /// eq. 2).
    Supervised,
}

impl Default for ReconstructionTerm {
    fn default() -> Self {
        Self { loss: ReconstructionLoss::Mse, weight: default_weight() }
    }
}

fn default_weight() -> f64 {
    1.0
}

fn default_temperature() -> f64 {
    0.5
}
