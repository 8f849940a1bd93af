//! Cross-entropy of samples with and without a known class.

use burn::tensor::{Tensor, TensorData, activation};

/// Returns −ln softmax(logits) of the correct class as a mean over the labelled samples, or 0 without labels.
/// The logits are `[n, classes]`.
pub(super) fn cross_entropy(logits: Tensor<2>, labels: &[Option<u8>]) -> Tensor<1> {
    let [n, classes] = logits.dims();
    let mut targets = vec![0.0_f32; n * classes];
    let known = labels.iter().enumerate().filter_map(|(row, label)| Some((row, usize::from((*label)?))));
    let mut count = 0;
    for (row, label) in known.filter(|(_, label)| *label < classes) {
        targets[row * classes + label] = 1.0;
        count += 1;
    }
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [n, classes]), &logits.device());
    (activation::log_softmax(logits, 1) * targets).sum().neg() / count.max(1) as f32
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn only_samples_with_a_class_count() {
        let logits = || Tensor::<2>::from_data([[1.0, 2.0, 0.5], [9.0, -3.0, 1.0]], &Device::flex());
        let found: f32 = cross_entropy(logits(), &[Some(1), None]).into_scalar();
        let sum = 1.0_f32.exp() + 2.0_f32.exp() + 0.5_f32.exp();
        assert!((found - (sum.ln() - 2.0)).abs() < 1e-6, "{found}");
        let unlabelled: f32 = cross_entropy(logits(), &[None, None]).into_scalar();
        assert!(unlabelled.abs() < 1e-9);
    }
}
