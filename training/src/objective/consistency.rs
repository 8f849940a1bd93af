//! Semi-supervised classification: learns from samples without a label.

use burn::tensor::{Device, Tensor, activation};
use rand::Rng;

use super::{
    augment::{Augmentation, encode_augmented},
    batch::TrainingBatch,
    classification::cross_entropy,
};
use crate::{definition::ConsistencyTerm, net::Net};

/// Returns the cross-entropy of the labelled samples, and that of strongly augmented samples with a known or
/// a confidently predicted class. The second is a mean over all samples, so that it grows with the number of
/// confident predictions.
pub(super) fn consistency_terms(
    net: &Net,
    batch: &TrainingBatch,
    consistency: &ConsistencyTerm,
    rng: &mut impl Rng,
    device: &Device,
) -> [Tensor<1>; 2] {
    let ConsistencyTerm { threshold, flip, shift, .. } = *consistency;
    let mut augmented_logits = |erase: bool| {
        let latent = encode_augmented(net, batch, Augmentation { shift, flip, erase }, rng, device);
        // The definition's check guarantees a classifier for this term.
        net.classify(latent.clone()).unwrap_or(latent)
    };
    let (weak, strong) = (augmented_logits(false), augmented_logits(true));
    let labels = &batch.labels;
    let confident = confident_classes(weak.clone().detach(), threshold as f32);
    let classes: Vec<Option<u8>> =
        labels.iter().zip(confident).map(|(label, confident)| label.or(confident)).collect();
    let labelled_share = classes.iter().flatten().count() as f32 / labels.len().max(1) as f32;
    [cross_entropy(weak, labels), cross_entropy(strong, &classes) * labelled_share]
}

/// Returns the most probable class of each row, or `None` if its probability is below `threshold`.
fn confident_classes(logits: Tensor<2>, threshold: f32) -> Vec<Option<u8>> {
    let [n, classes] = logits.dims();
    let probabilities: Vec<f32> =
        activation::softmax(logits, 1).into_data().try_to_vec().unwrap_or_else(|_| vec![0.0; n * classes]);
    probabilities
        .chunks_exact(classes)
        .map(|row| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
            (*best.1 >= threshold).then_some(best.0 as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_confident_samples_get_a_class() {
        let logits = Tensor::<2>::from_data([[9.0, 0.0], [1.0, 0.0], [0.0, 9.0]], &Device::flex());
        assert_eq!(confident_classes(logits, 0.95), [Some(0), None, Some(1)]);
    }
}
