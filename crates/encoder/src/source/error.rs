use std::{
    io,
    path::{Path, PathBuf},
};

/// An error of the files that inputs are read from, or of the names of their outputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file cannot be used, because of its content or its name.
    #[error("{}: {reason}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The inputs do not contain any image.
    #[error(
        "no images found in {paths}: give PNG, JPEG, WebP, PGM/PPM, .npy or IDX files, or folders of them"
    )]
    NoImages {
        /// The input paths, joined.
        paths: String,
    },
    /// The inputs do not contain any numbers.
    #[error("no numbers found in {paths}: give CSV or .npy files, plain or .gz, or folders of them")]
    NoNumbers {
        /// The input paths, joined.
        paths: String,
    },
    /// Two inputs would write the same output file.
    #[error(
        "{} and {} would write outputs of the same name, and the second would overwrite the first: rename one, or run the \
         command once per folder with another --out", first.display(), second.display()
    )]
    SameOutput {
        /// The first input file.
        first: PathBuf,
        /// The second input file.
        second: PathBuf,
    },
}

/// Returns a function that turns a system error at `path` into an [`InputError::Io`].
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> InputError {
    let path = path.to_owned();
    move |source| InputError::Io { path, source }
}
