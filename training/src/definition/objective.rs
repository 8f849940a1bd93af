use serde::{Deserialize, Serialize};

use crate::Loss;

/// What training minimises: the weighted sum of these terms, and of the divergence of a variational model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// How far x̂ is from x.
    pub reconstruction: Reconstruction,
    /// λ of λ‖z‖₁, a sum over the latent's values.
    pub sparsity: f64,
    /// α of α·`CrossEntropy`(C(z), y).
    pub classification: f64,
    /// Lets the classifier learn from samples without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Pulls similar samples' latents together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrastive: Option<Contrastive>,
}

/// What the classifier is sure of in a slightly changed sample, it should say of the same sample changed more (K. Sohn et
/// al., "`FixMatch`", `NeurIPS` 2020, eq. 4). With this term labels are learnt from changed samples as well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// Its weight, beside that of the classification.
    pub weight: f64,
    /// The probability from which the classifier counts as sure.
    #[serde(default = "sure")]
    pub threshold: f64,
    /// Whether a mirrored picture is the same picture.
    #[serde(default)]
    pub flip: bool,
    /// By how many pixels at most a picture is moved, in each direction.
    #[serde(default = "shift")]
    pub shift: u8,
}

fn shift() -> u8 {
    2
}

fn sure() -> f64 {
    0.95
}

/// The term of the reconstruction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconstruction {
    /// Which distance.
    pub loss: Loss,
    /// Its weight.
    #[serde(default = "unit")]
    pub weight: f64,
}

/// The contrastive term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrastive {
    /// What counts as similar.
    pub kind: ContrastiveKind,
    /// Its weight.
    pub weight: f64,
    /// What similarities are divided by.
    #[serde(default = "temperature")]
    pub temperature: f64,
    /// Whether a mirrored picture is the same picture.
    #[serde(default)]
    pub flip: bool,
    /// By how many pixels at most a picture is moved, in each direction.
    #[serde(default = "shift")]
    pub shift: u8,
}

/// What counts as similar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContrastiveKind {
    /// Two augmentations of one sample (T. Chen et al., "A simple framework for contrastive learning of visual
    /// representations", ICML 2020, section 2.1).
    NtXent,
    /// All samples of one label (P. Khosla et al., "Supervised contrastive learning", `NeurIPS` 2020, eq. 2).
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
