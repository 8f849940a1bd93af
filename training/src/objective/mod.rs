//! The training objective: L = w·reconstruction + λ‖z‖₁ + α·classification + contrast + β·divergence.
//!
//! The reconstruction term is a mean over values and samples. The norm of z is a sum over its values and a
//! mean over samples. The divergence is a sum over the latent's values divided by the number of output
//! values, so that β = 1 is the evidence lower bound.

mod augment;
mod classification;
mod consistency;
mod contrastive;
mod divergence;
mod reconstruction;

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt as _};

pub use reconstruction::ReconstructionLoss;

use self::{augment::Augmentation, consistency::ConsistencyInputs};
use crate::{
    definition::{ContrastiveKind, ContrastiveTerm},
    net::{Encoded, Net},
};

/// Probability that a sample's taps are set to zeros, so that the decoder also works without the enhancement
/// layers.
const TAP_DROPOUT: f32 = 0.25;

/// The samples of one step.
pub(crate) struct TrainingBatch {
    /// Encoder inputs, rows one after the other.
    pub(crate) input: Vec<f32>,
    /// Target outputs of the decoder, rows one after the other.
    pub(crate) target: Vec<f32>,
    /// Classes of the samples; `None` if unknown.
    pub(crate) labels: Vec<Option<u8>>,
}

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
        let views = ConsistencyInputs { net, batch, consistency, device };
        let [labelled, agreed] = consistency::consistency_terms(&views, rng);
        sum =
            sum + apply_weight(labelled, objective.classification) + apply_weight(agreed, consistency.weight);
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

/// Converts values to rows `[n, values]`.
pub(crate) fn to_rows(values: &[f32], n: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [n, values.len() / n.max(1)]), device)
}

/// Multiplies a term by its weight. A weight of 1 adds no operation, so that the sums of a plain autoencoder
/// stay bit-identical.
fn apply_weight(term: Tensor<1>, weight: f64) -> Tensor<1> {
    #[allow(clippy::float_cmp)] // The number as it was written.
    if weight == 1.0 { term } else { term * weight as f32 }
}

/// Computes the contrastive loss of two augmentations of each sample.
fn contrastive_term(
    net: &Net,
    batch: &TrainingBatch,
    contrastive: &ContrastiveTerm,
    rng: &mut impl Rng,
    device: &Device,
) -> Tensor<1> {
    let change = Augmentation { shift: contrastive.shift, flip: contrastive.flip, erase: true };
    let first = encode_augmented(net, batch, change, rng, device);
    let second = encode_augmented(net, batch, change, rng, device);
    let views = Tensor::cat(vec![first, second], 0);
    let labels = match contrastive.kind {
        ContrastiveKind::NtXent => vec![None; batch.labels.len()],
        ContrastiveKind::Supervised => batch.labels.clone(),
    };
    contrastive::contrastive_loss(views, &labels, contrastive.temperature as f32)
}

/// Encodes one augmentation of each sample, `[n, values]`.
fn encode_augmented(
    net: &Net,
    batch: &TrainingBatch,
    change: Augmentation,
    rng: &mut impl Rng,
    device: &Device,
) -> Tensor<2> {
    let n = batch.labels.len();
    let input = &net.blueprint().definition.input;
    let values = augment::augment_samples(&batch.input, n, input, change, rng);
    net.encode(to_rows(&values, n, device)).latent
}

/// Sets the taps of randomly chosen samples to zeros.
fn drop_taps(taps: Vec<Tensor<2>>, rng: &mut impl Rng, device: &Device) -> Vec<Tensor<2>> {
    let Some(first) = taps.first() else { return taps };
    let n = first.dims()[0];
    let kept: Vec<f32> = (0..n).map(|_| f32::from(rng.random::<f32>() >= TAP_DROPOUT)).collect();
    let kept = to_rows(&kept, n, device);
    taps.into_iter().map(|tap| tap * kept.clone()).collect()
}

/// Draws from the standard normal distribution (Box and Muller, 1958).
fn standard_normal(rng: &mut impl Rng) -> f32 {
    let (radius, angle) = (1.0 - rng.random::<f32>(), rng.random::<f32>());
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
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
        let lost = sums(0).iter().filter(|&&sum| sum == 0.0).count();
        assert!((200..300).contains(&lost), "{lost}");
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut rng = StdRng::seed_from_u64(6);
        let values: Vec<f32> = (0..20_000).map(|_| standard_normal(&mut rng)).collect();
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
    }
}
