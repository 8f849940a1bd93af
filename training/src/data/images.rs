//! Labelled images of one size, in two halves, from four IDX files named like MNIST's.

use std::path::{Path, PathBuf};

use lopside_encoder::source::{self, idx};

use crate::{DataError, TrainingError};

/// Grey images of one size and their labels.
#[derive(Debug, Clone)]
pub struct ImageDataset {
    /// The samples of all images, one image after another, row-major, 0 to 255.
    pub samples: Vec<u8>,
    /// The label of each image, 0 to 9.
    pub labels: Vec<u8>,
    /// Number of samples per image.
    pub image_len: usize,
}

/// A half of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The half for training.
    Train,
    /// The half for testing, which is never used for training.
    Test,
}

impl ImageDataset {
    /// Reads one half, at most `limit` images of it.
    ///
    /// # Errors
    /// [`DataError::NotFound`] with instructions when files are missing; the reader's error when they are
    /// damaged.
    pub fn read(folder: &Path, split: Split, limit: Option<usize>) -> Result<Self, TrainingError> {
        let prefix = match split {
            Split::Train => "train",
            Split::Test => "t10k",
        };
        let mut labels = idx::read_labels(&find_idx_file(folder, prefix, "labels-idx1")?)?;
        labels.truncate(limit.unwrap_or(labels.len()));
        let (mut samples, mut image_len) = (Vec::new(), 0);
        let images = find_idx_file(folder, prefix, "images-idx3")?;
        for item in source::open_images(&[images])?.take(labels.len()) {
            let image = item?.picture.to_luma8();
            image_len = image.len();
            samples.extend(image.into_raw());
        }
        Ok(Self { samples, labels, image_len })
    }

    /// Returns the number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether the half is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns the samples of one image.
    #[must_use]
    pub fn image_samples(&self, index: usize) -> &[u8] {
        &self.samples[index * self.image_len..(index + 1) * self.image_len]
    }

    /// Returns the given images as floats from 0 to 1, one image after another.
    #[must_use]
    pub fn float_samples(&self, indices: &[usize]) -> Vec<f32> {
        indices
            .iter()
            .flat_map(|&index| self.image_samples(index))
            .map(|&sample| f32::from(sample) / 255.0)
            .collect()
    }
}

/// Returns the path of an IDX file, plain or compressed.
fn find_idx_file(folder: &Path, prefix: &str, kind: &str) -> Result<PathBuf, DataError> {
    let plain = folder.join(format!("{prefix}-{kind}-ubyte"));
    let compressed = folder.join(format!("{prefix}-{kind}-ubyte.gz"));
    [plain, compressed]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| DataError::NotFound { folder: folder.to_owned() })
}
