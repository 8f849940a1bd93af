use std::path::PathBuf;

/// An error of a command that adds something to an existing bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleUpdateError {
    /// Two golden inputs have the same file name.
    #[error("two inputs are named {name:?}: rename one")]
    DuplicateGoldenName {
        /// The file name.
        name: String,
    },
    /// The bundle does not have a head of this name.
    #[error("the bundle does not have a head {head:?}: use one of {}", known.join(", "))]
    UnknownHead {
        /// The requested name.
        head: String,
        /// The names of the bundle's heads.
        known: Vec<String>,
    },
    /// The model of a head has an input that the bundle does not describe.
    #[error("head {head:?}: its model has an input {input:?}, which the bundle does not name")]
    UnnamedInput {
        /// The name of the head.
        head: String,
        /// The name of the input.
        input: String,
    },
    /// A photo bundle was expected, but the bundle is of another kind.
    #[error("{} is not the bundle of an image codec: make one with `training bundle --preset photo`", folder.display())]
    NotPhotoBundle {
        /// The folder.
        folder: PathBuf,
    },
    /// A decoder was to be trained for a bundle whose encoder differs from the run's.
    #[error(
        "the encoder of the run {} differs from that of the bundle {}: pass the run that the bundle was made from, or \
         one that `finetune-decoder` made from it",
        run.display(),
        bundle.display()
    )]
    EncoderMismatch {
        /// The run's folder.
        run: PathBuf,
        /// The bundle's folder.
        bundle: PathBuf,
    },
}
