//! Labelled pictures of one size, in two halves, from four IDX files named as MNIST's are.

use std::path::Path;

use edge_encoder::source::{self, idx};

use crate::TrainingError;

/// Grey pictures of one size and their labels.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// All samples: pictures one after the other, row-major, 0 to 255.
    pub samples: Vec<u8>,
    /// One label a picture, 0 to 9.
    pub labels: Vec<u8>,
    /// Samples of one picture.
    pub picture_len: usize,
}

/// Which half of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// Nothing is ever learnt from these.
    Test,
}

impl Dataset {
    /// Reads one half, at most `limit` pictures of it.
    ///
    /// # Errors
    /// [`TrainingError::NoData`] when the files are missing, with how to get them; the reader's error when they
    /// are damaged.
    pub fn read(folder: &Path, split: Split, limit: Option<usize>) -> Result<Self, TrainingError> {
        let prefix = match split {
            Split::Train => "train",
            Split::Test => "t10k",
        };
        let file = |kind: &str| {
            let plain = folder.join(format!("{prefix}-{kind}-ubyte"));
            let packed = folder.join(format!("{prefix}-{kind}-ubyte.gz"));
            [plain, packed]
                .into_iter()
                .find(|path| path.is_file())
                .ok_or_else(|| TrainingError::NoData { folder: folder.to_owned() })
        };
        let mut labels = idx::labels(&file("labels-idx1")?)?;
        labels.truncate(limit.unwrap_or(labels.len()));
        let (mut samples, mut picture_len) = (Vec::new(), 0);
        for item in source::open(&[file("images-idx3")?])?.take(labels.len()) {
            let picture = item?.picture.to_luma8();
            picture_len = picture.len();
            samples.extend(picture.into_raw());
        }
        Ok(Self { samples, labels, picture_len })
    }

    /// How many pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One picture's samples.
    #[must_use]
    pub fn picture(&self, index: usize) -> &[u8] {
        &self.samples[index * self.picture_len..(index + 1) * self.picture_len]
    }

    /// The given pictures as floats of 0 to 1, one after the other.
    #[must_use]
    pub fn batch(&self, indices: &[usize]) -> Vec<f32> {
        indices
            .iter()
            .flat_map(|&index| self.picture(index))
            .map(|&sample| f32::from(sample) / 255.0)
            .collect()
    }
}
