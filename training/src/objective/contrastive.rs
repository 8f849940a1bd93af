//! Contrastive loss: pulls the latents of similar samples together and pushes others apart.

use burn::tensor::{Device, Tensor, TensorData, activation};
use rand::Rng;

use super::{
    augment::{Augmentation, encode_augmented},
    batch::TrainingBatch,
};
use crate::{
    definition::{ContrastiveKind, ContrastiveTerm},
    net::Net,
};

/// Added to the similarity of a latent with itself, so that its softmax is 0.
const SELF_SIMILARITY: f32 = -1e9;

/// Computes the contrastive loss of two augmentations of each sample.
pub(super) fn contrastive_term(
    net: &Net,
    batch: &TrainingBatch,
    contrastive: &ContrastiveTerm,
    rng: &mut impl Rng,
    device: &Device,
) -> Tensor<1> {
    let augmentation = Augmentation { shift: contrastive.shift, flip: contrastive.flip, erase: true };
    let first = encode_augmented(net, batch, augmentation, rng, device);
    let second = encode_augmented(net, batch, augmentation, rng, device);
    let views = Tensor::cat(vec![first, second], 0);
    let labels = match contrastive.kind {
        ContrastiveKind::NtXent => vec![None; batch.labels.len()],
        ContrastiveKind::Supervised => batch.labels.clone(),
    };
    contrastive_loss(views, &labels, contrastive.temperature as f32)
}

/// Returns −1/|P(i)| Σ ln softmax(zᵢ·zₚ/τ) over p ∈ P(i), as a mean over i, for latents scaled to length 1
/// (P. Khosla et al., "Supervised contrastive learning", `NeurIPS` 2020, eq. 2). `views` are two latents per
/// sample, `[2·n, values]`, first the first views of all samples. P(i) contains the sample's other view and
/// all views of samples with its label; without labels this is NT-Xent (T. Chen et al., ICML 2020, eq. 1).
fn contrastive_loss(views: Tensor<2>, labels: &[Option<u8>], temperature: f32) -> Tensor<1> {
    let device = views.device();
    let count = 2 * labels.len();
    let norm = views.clone().square().sum_dim(1).add_scalar(1e-12).sqrt();
    let unit = views / norm;
    let similarity = unit.clone().matmul(unit.transpose()) / temperature;
    let diagonal = square_matrix(count, |i, j| if i == j { SELF_SIMILARITY } else { 0.0 });
    let similarity = similarity + Tensor::<2>::from_data(diagonal, &device);
    let positive_counts: Vec<f32> =
        (0..count).map(|i| (0..count).filter(|&j| is_positive(labels, i, j)).count() as f32).collect();
    let targets =
        square_matrix(count, |i, j| if is_positive(labels, i, j) { 1.0 / positive_counts[i] } else { 0.0 });
    let targets = Tensor::<2>::from_data(targets, &device);
    (activation::log_softmax(similarity, 1) * targets).sum().neg() / count as f32
}

/// Computes a matrix `[count, count]` from the value at each row and column.
fn square_matrix(count: usize, value: impl Fn(usize, usize) -> f32) -> TensorData {
    let values: Vec<f32> = (0..count * count).map(|index| value(index / count, index % count)).collect();
    TensorData::new(values, [count, count])
}

/// Returns whether view j is in P(i).
fn is_positive(labels: &[Option<u8>], i: usize, j: usize) -> bool {
    i != j && same_label(labels, i % labels.len(), j % labels.len())
}

fn same_label(labels: &[Option<u8>], i: usize, j: usize) -> bool {
    i == j || (labels[i].is_some() && labels[i] == labels[j])
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEWS: [[f32; 2]; 6] = [[1.0, 0.2], [0.1, 2.0], [-1.0, 0.5], [0.9, 0.0], [0.3, 1.0], [-2.0, 0.1]];

    /// Computes the definition in plain loops.
    fn expected(positives: &dyn Fn(usize, usize) -> bool, temperature: f32) -> f32 {
        let norm = |v: [f32; 2]| (v[0] * v[0] + v[1] * v[1]).sqrt();
        let similarity = |i: usize, j: usize| {
            let (a, b): ([f32; 2], [f32; 2]) = (VIEWS[i], VIEWS[j]);
            (a[0] * b[0] + a[1] * b[1]) / norm(a) / norm(b) / temperature
        };
        let term = |i: usize| {
            let others: f32 = (0..6).filter(|&j| j != i).map(|j| similarity(i, j).exp()).sum();
            let positive_indices: Vec<usize> = (0..6).filter(|&j| j != i && positives(i, j)).collect();
            positive_indices.iter().map(|&p| others.ln() - similarity(i, p)).sum::<f32>()
                / positive_indices.len() as f32
        };
        (0..6).map(term).sum::<f32>() / 6.0
    }

    fn found(labels: &[Option<u8>], temperature: f32) -> f32 {
        contrastive_loss(Tensor::from_data(VIEWS, &Device::flex()), labels, temperature).into_scalar()
    }

    #[test]
    fn nt_xent_agrees_with_its_definition() {
        let (found, expected) = (found(&[None; 3], 0.5), expected(&|i, j| i % 3 == j % 3, 0.5));
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn samples_of_equal_labels_are_positive_pairs() {
        let labels = [Some(4), None, Some(4)];
        let expected = expected(&|i, j| i % 3 == j % 3 || (i % 3 != 1 && j % 3 != 1), 0.2);
        let found = found(&labels, 0.2);
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}
