//! The training objective: L = w·reconstruction + λ‖z‖₁ + α·classification + contrast + β·divergence.
//!
//! The reconstruction term is a mean over values and samples. The norm of z is a sum over its values and a
//! mean over samples. The divergence is a sum over the latent's values divided by the number of output
//! values, so that β = 1 is the evidence lower bound.

mod augment;
mod batch;
mod classification;
mod consistency;
mod contrastive;
mod divergence;
mod reconstruction;

use burn::tensor::{Device, Tensor};
use rand::{Rng, RngExt as _};

pub use reconstruction::ReconstructionLoss;

pub(crate) use self::batch::{TrainingBatch, to_rows};
use self::{consistency::consistency_terms, contrastive::contrastive_term};
use crate::net::{Encoded, Net};

/// Probability that a sample's taps are set to zeros, so that the decoder also works without the enhancement
/// layers.
const TAP_DROPOUT: f32 = 0.25;

/// Computes the objective of a batch.
pub(crate) fn batch_loss(net: &Net, batch: &TrainingBatch, rng: &mut impl Rng, device: &Device) -> Tensor<1> {
    let definition = &net.blueprint().definition;
    let objective = &definition.objective;
    let n = batch.labels.len();
    let (input, target) = (to_rows(&batch.input, n, device), to_rows(&batch.target, n, device));
    let Encoded { latent, log_variance, taps } = net.encode(input);
    let taps = drop_taps(taps, rng, device);
    let sample = match &log_variance {
        Some(log_variance) => divergence::sample_latent(&latent, log_variance, rng),
        None => latent.clone(),
    };
    let reconstruction = objective.reconstruction;
    let raw = net.decode(sample.clone(), &taps);
    let mut sum = apply_weight(
        reconstruction.loss.mean_loss(raw, target, definition.decoder.activation),
        reconstruction.weight,
    );
    if objective.sparsity > 0.0 {
        sum = sum + apply_weight(latent.clone().abs().sum() / n as f32, objective.sparsity);
    }
    if let Some(consistency) = &objective.consistency {
        let [supervised, pseudo_labelled] = consistency_terms(net, batch, consistency, rng, device);
        sum = sum
            + apply_weight(supervised, objective.classification)
            + apply_weight(pseudo_labelled, consistency.weight);
    } else if let Some(logits) = net.classify(sample).filter(|_| objective.classification > 0.0) {
        sum = sum
            + apply_weight(classification::cross_entropy(logits, &batch.labels), objective.classification);
    }
    if let Some(contrastive) = &objective.contrastive {
        sum = sum + apply_weight(contrastive_term(net, batch, contrastive, rng, device), contrastive.weight);
    }
    if let (Some(variational), Some(log_variance)) = (definition.variational, log_variance) {
        let values = net.blueprint().output.values() as f64;
        sum =
            sum + apply_weight(divergence::kullback_leibler(latent, log_variance), variational.beta / values);
    }
    sum
}

/// Multiplies a term by its weight. A weight of 1 adds no operation, so that the sums of a plain autoencoder
/// stay bit-identical.
fn apply_weight(term: Tensor<1>, weight: f64) -> Tensor<1> {
    #[allow(clippy::float_cmp)] // The number as it was written.
    if weight == 1.0 { term } else { term * weight as f32 }
}

/// Sets the taps of randomly chosen samples to zeros.
fn drop_taps(taps: Vec<Tensor<2>>, rng: &mut impl Rng, device: &Device) -> Vec<Tensor<2>> {
    let Some(first) = taps.first() else { return taps };
    let n = first.dims()[0];
    let mask: Vec<f32> = (0..n).map(|_| f32::from(rng.random::<f32>() >= TAP_DROPOUT)).collect();
    let mask = to_rows(&mask, n, device);
    taps.into_iter().map(|tap| tap * mask.clone()).collect()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn about_a_quarter_of_the_samples_lose_all_their_taps() {
        let device = Device::flex();
        let taps = vec![Tensor::<2>::ones([1000, 2], &device), Tensor::<2>::ones([1000, 3], &device)];
        let taps = drop_taps(taps, &mut StdRng::seed_from_u64(5), &device);
        let sums =
            |index: usize| -> Vec<f32> { taps[index].clone().mean_dim(1).into_data().try_to_vec().unwrap() };
        assert_eq!(sums(0), sums(1));
        let dropped = sums(0).iter().filter(|&&sum| sum == 0.0).count();
        assert!((200..300).contains(&dropped), "{dropped}");
    }
}
