use serde::{Deserialize, Serialize};

use crate::Loss;

/// The training objective: the weighted sum of these terms, plus the divergence of a variational model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Distance between x̂ and x.
    pub reconstruction: Reconstruction,
    /// λ of λ‖z‖₁, a sum over the latent's values.
    pub sparsity: f64,
    /// α of α·`CrossEntropy`(C(z), y).
    pub classification: f64,
    /// If present, the classifier also learns from samples without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// If present, the latents of similar samples are pulled together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrastive: Option<Contrastive>,
}

/// Consistency term: a confident prediction for a slightly augmented sample is the target for a strongly
/// augmented one (K. Sohn et al., "`FixMatch`", `NeurIPS` 2020, eq. 4). With this term, labels are learnt
/// from augmented samples as well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// Weight of the term, in addition to that of the classification.
    pub weight: f64,
    /// Probability from which a prediction counts as confident, 0 to 1, 0.95 by default.
    #[serde(default = "sure")]
    pub threshold: f64,
    /// Whether images may be mirrored.
    #[serde(default)]
    pub flip: bool,
    /// Maximum shift of an image in each direction in pixels, 2 by default.
    #[serde(default = "shift")]
    pub shift: u8,
}

fn shift() -> u8 {
    2
}

fn sure() -> f64 {
    0.95
}

/// The reconstruction term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconstruction {
    /// The loss function.
    pub loss: Loss,
    /// Weight of the term, 1 by default.
    #[serde(default = "unit")]
    pub weight: f64,
}

/// The contrastive term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrastive {
    /// Definition of similar samples.
    pub kind: ContrastiveKind,
    /// Weight of the term.
    pub weight: f64,
    /// Temperature, the divisor of similarities, 0.5 by default.
    #[serde(default = "temperature")]
    pub temperature: f64,
    /// Whether images may be mirrored.
    #[serde(default)]
    pub flip: bool,
    /// Maximum shift of an image in each direction in pixels, 2 by default.
    #[serde(default = "shift")]
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

impl Default for Reconstruction {
    fn default() -> Self {
        Self { loss: Loss::Mse, weight: unit() }
    }
}

fn unit() -> f64 {
    1.0
}

fn temperature() -> f64 {
    0.5
}
