//! The training objective of a definition, and the rules for its terms.

use serde::{Deserialize, Serialize};

use super::{
    Definition, OutputActivation, Signal,
    rules::{RuleViolation, check_positive, check_weight},
};
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

/// Checks the weights of all terms, and that the model has the parts that the terms require.
pub(super) fn check_objective(definition: &Definition) -> Result<(), RuleViolation> {
    let objective = &definition.objective;
    check_weight("objective.reconstruction.weight", objective.reconstruction.weight)?;
    check_weight("objective.sparsity", objective.sparsity)?;
    check_weight("objective.classification", objective.classification)?;
    check_value_range(definition)?;
    match (&definition.classifier, objective.classification > 0.0) {
        (None, true) => {
            let fix = "add [classifier] with labels and layers, or set the weight to 0";
            return Err(RuleViolation::new(
                "objective.classification",
                "the model does not have a classifier",
                fix,
            ));
        }
        (Some(_), false) => {
            let fix = "set objective.classification above 0, or remove [classifier]";
            return Err(RuleViolation::new("classifier", "no loss trains the classifier", fix));
        }
        _ => {}
    }
    if let Some(contrastive) = &objective.contrastive {
        check_contrastive(definition, contrastive)?;
    }
    if let Some(consistency) = &objective.consistency {
        check_consistency(definition, consistency)?;
    }
    let trains_decoder = objective.reconstruction.weight > 0.0;
    if trains_decoder {
        return Ok(());
    }
    let fix = "set the weight above 0";
    Err(RuleViolation::new("objective.reconstruction.weight", "no loss trains the decoder", fix))
}

/// Checks that a loss for samples from 0 to 1 is used with a sigmoid, and a sigmoid with image samples from 0
/// to 1.
fn check_value_range(definition: &Definition) -> Result<(), RuleViolation> {
    let is_sigmoid = definition.decoder.activation == OutputActivation::Sigmoid;
    let loss = definition.objective.reconstruction.loss;
    if loss.requires_unit_outputs() && !is_sigmoid {
        let problem = format!("{} requires outputs from 0 to 1", loss.name());
        let fix = "use decoder.activation = \"sigmoid\", or loss = \"mse\"";
        return Err(RuleViolation::new("objective.reconstruction.loss", problem, fix));
    }
    let Signal::Picture(image) = definition.output() else { return Ok(()) };
    #[allow(clippy::float_cmp)] // The numbers as they were written.
    let is_unit_range = image.low == 0.0 && image.high == 1.0;
    if !is_sigmoid || is_unit_range {
        return Ok(());
    }
    let problem = format!("a sigmoid cannot produce samples from {} to {}", image.low, image.high);
    Err(RuleViolation::new("decoder.activation", problem, "use \"identity\", or low = 0.0 and high = 1.0"))
}

fn check_consistency(definition: &Definition, consistency: &ConsistencyTerm) -> Result<(), RuleViolation> {
    check_weight("objective.consistency.weight", consistency.weight)?;
    if !(0.0..=1.0).contains(&consistency.threshold) {
        let problem = format!("{} is not a probability", consistency.threshold);
        return Err(RuleViolation::new(
            "objective.consistency.threshold",
            problem,
            "use a number from 0 to 1",
        ));
    }
    if definition.classifier.is_none() {
        return Err(RuleViolation::new(
            "objective.consistency",
            "the model does not have a classifier",
            "add [classifier], or remove the key",
        ));
    }
    if consistency.flip && matches!(definition.input, Signal::Series(_)) {
        return Err(RuleViolation::new(
            "objective.consistency.flip",
            "a time series cannot be mirrored",
            "remove the key",
        ));
    }
    Ok(())
}

fn check_contrastive(definition: &Definition, contrastive: &ContrastiveTerm) -> Result<(), RuleViolation> {
    check_weight("objective.contrastive.weight", contrastive.weight)?;
    check_positive("objective.contrastive.temperature", contrastive.temperature)?;
    if contrastive.kind == ContrastiveKind::Supervised && definition.classifier.is_none() {
        let fix = "add [classifier] with labels, or use kind = \"nt-xent\"";
        return Err(RuleViolation::new(
            "objective.contrastive.kind",
            "a supervised loss requires labels",
            fix,
        ));
    }
    if contrastive.flip && matches!(definition.input, Signal::Series(_)) {
        return Err(RuleViolation::new(
            "objective.contrastive.flip",
            "a time series cannot be mirrored",
            "remove the key",
        ));
    }
    if definition.training.batch < 2 {
        let problem = "a contrastive loss compares the samples of a batch, but the batch has only one";
        return Err(RuleViolation::new("training.batch", problem, "use 2 or more"));
    }
    Ok(())
}
