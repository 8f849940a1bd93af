//! Reconstruction losses: their names, formulas and requirements. Another loss is another variant here; the
//! compiler then asks for the rest.

use burn::tensor::{Tensor, activation};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::definition::OutputActivation;

/// The reconstruction loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReconstructionLoss {
    /// Mean squared error
    Mse,
    /// Binary cross-entropy
    Bce,
}

impl ReconstructionLoss {
    /// Returns the name used in definitions and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::Bce => "bce",
        }
    }

    /// Returns whether outputs and targets must be from 0 to 1, which a definition ensures with a sigmoid.
    #[must_use]
    pub const fn requires_unit_outputs(self) -> bool {
        match self {
            Self::Mse => false,
            Self::Bce => true,
        }
    }

    /// Returns the loss as a mean over all values. `raw` is the decoder's output before its activation;
    /// cross-entropy treats it as logits and requires targets from 0 to 1.
    #[must_use]
    pub fn mean_loss(self, raw: Tensor<2>, target: Tensor<2>, output: OutputActivation) -> Tensor<1> {
        match (self, output) {
            (Self::Mse, OutputActivation::Sigmoid) => (activation::sigmoid(raw) - target).square().mean(),
            (Self::Mse, OutputActivation::Identity) => (raw - target).square().mean(),
            (Self::Bce, _) => bce_with_logits(raw, target),
        }
    }
}

/// Computes max(l, 0) − l·t + ln(1 + e^(−|l|)), the cross-entropy of sigmoid(l) without overflow.
fn bce_with_logits(logits: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let softplus = logits.clone().abs().neg().exp().add_scalar(1.0).log();
    (activation::relu(logits.clone()) - logits * target + softplus).mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn row(values: [f32; 3]) -> Tensor<2> {
        Tensor::from_data([values], &Device::flex())
    }

    #[test]
    fn a_loss_has_one_name_everywhere() {
        for loss in ReconstructionLoss::value_variants() {
            assert_eq!(loss.to_possible_value().unwrap().get_name(), loss.name());
            assert_eq!(serde_json::to_value(loss).unwrap(), loss.name());
        }
    }

    #[test]
    fn both_losses_agree_with_their_definitions() {
        let (logits, target) = ([0.0_f32, 2.0, -80.0], [0.5_f32, 1.0, 0.25]);
        let sigmoid = |l: f32| 1.0 / (1.0 + (-l).exp());
        let expected_mse: f32 =
            logits.iter().zip(target).map(|(&l, t)| (sigmoid(l) - t).powi(2)).sum::<f32>() / 3.0;
        // −t·ln σ(l) − (1−t)·ln(1−σ(l)); for the last value ln σ(−80) = −80.
        let expected_bce = (2.0_f32.ln() - sigmoid(2.0).ln() + 0.25 * 80.0) / 3.0;
        let mean_loss = |loss: ReconstructionLoss, output| {
            loss.mean_loss(row(logits), row(target), output).into_scalar::<f32>()
        };
        let mse = mean_loss(ReconstructionLoss::Mse, OutputActivation::Sigmoid);
        let bce = mean_loss(ReconstructionLoss::Bce, OutputActivation::Sigmoid);
        let identity = mean_loss(ReconstructionLoss::Mse, OutputActivation::Identity);
        assert!((identity - (0.25 + 1.0 + 80.25 * 80.25) / 3.0).abs() < 1e-2, "{identity}");
        assert!((mse - expected_mse).abs() < 1e-6, "{mse} {expected_mse}");
        assert!((bce - expected_bce).abs() < 1e-5, "{bce} {expected_bce}");
    }
}
