use std::path::PathBuf;

/// An error of a data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The data set was not found.
    #[error(
        "{} does not contain the data set: for Fashion-MNIST, run `apt-get install dataset-fashion-mnist` on Debian; \
         on other systems, put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz \
         and t10k-labels-idx1-ubyte.gz (github.com/zalandoresearch/fashion-mnist) into a folder and pass it as \
         --data; for other data sets, pass the folder that `training data NAME --out DIR` writes",
        folder.display()
    )]
    NotFound {
        /// The folder that was searched.
        folder: PathBuf,
    },
    /// A data file has unexpected content.
    #[error("{}: {reason}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// There are too few samples to train and validate.
    #[error("{found} training samples are too few: at least 20 are required")]
    TooFewSamples {
        /// Number of samples found.
        found: usize,
    },
    /// A time series cannot be cut into windows of this length and stride.
    #[error(
        "a series of {points} points cannot be cut into windows of {length} points with a stride of {stride}: the stride \
         must be from 1 to the length of a window, and a window must not be longer than the series between two of its gaps"
    )]
    InvalidWindow {
        /// Length of a window, in points.
        length: usize,
        /// Distance from one window to the next, in points.
        stride: usize,
        /// Length of the longest part of the series without a gap, in points.
        points: usize,
    },
    /// A class has fewer samples than its share of the labels.
    #[error(
        "class {class} has {found} samples, but its share of the labels is {share}: request fewer labels"
    )]
    TooFewLabels {
        /// The class.
        class: usize,
        /// Number of labels that the class has to provide.
        share: usize,
        /// Number of samples of the class.
        found: usize,
    },
    /// There are too few normal rows to fit an anomaly detector.
    #[error(
        "there are too few normal rows to fit an anomaly detector: check the training part and its labels"
    )]
    TooFewNormalRows,
    /// A bundle reads samples of another kind than those of the data set.
    #[error("{bundle}: it does not accept the kind of samples in the data set")]
    RefusedByBundle {
        /// The name of the bundle.
        bundle: String,
    },
    /// A test image cannot be encoded as PNG, the form in which it is sent along with its frame.
    #[error("a test image cannot be encoded as PNG: {source}")]
    PngEncoding {
        /// The reason.
        source: image::ImageError,
    },
}
