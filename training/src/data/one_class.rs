//! One class is normal, the other nine are anomalies: the usual protocol to measure anomaly detection on
//! labelled images (Ruff et al., Deep One-Class Classification, ICML 2018, section 4).

use super::ImageDataset;

/// A view of a training and a test half in which one class is normal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneClassView {
    /// Indices of the training images of the normal class.
    pub train: Vec<usize>,
    /// Whether each test image is of another class.
    pub anomalies: Vec<bool>,
}

impl OneClassView {
    /// Returns the view in which `class` is normal.
    #[must_use]
    pub fn new(train: &ImageDataset, test: &ImageDataset, class: u8) -> Self {
        Self {
            train: (0..train.len()).filter(|&index| train.labels[index] == class).collect(),
            anomalies: test.labels.iter().map(|&label| label != class).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_reads_one_class_and_testing_all() {
        let dataset =
            |labels: &[u8]| ImageDataset { samples: labels.to_vec(), labels: labels.to_vec(), image_len: 1 };
        let view = OneClassView::new(&dataset(&[3, 1, 3, 0]), &dataset(&[0, 3, 2]), 3);
        assert_eq!(view, OneClassView { train: vec![0, 2], anomalies: vec![true, false, true] });
    }
}
