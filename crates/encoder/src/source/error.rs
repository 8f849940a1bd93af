use std::{
    io,
    path::{Path, PathBuf},
};

/// An error of the files that inputs are read from.
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
        "no images found in {paths}{}: give PNG, JPEG, WebP, PGM/PPM, .npy or IDX files, or folders of them",
        other_entries(*skipped)
    )]
    NoImages {
        /// The input paths, joined.
        paths: String,
        /// Number of entries of the folders that are not images.
        skipped: usize,
    },
    /// The inputs do not contain any numbers.
    #[error(
        "no numbers found in {paths}{}: give CSV or .npy files, plain or .gz, or folders of them",
        other_entries(*skipped)
    )]
    NoNumbers {
        /// The input paths, joined.
        paths: String,
        /// Number of entries of the folders that are not files of numbers.
        skipped: usize,
    },
}

fn other_entries(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => ", only another entry".into(),
        count => format!(", only {count} other entries"),
    }
}

/// Returns a function that turns a system error at `path` into an [`InputError::Io`].
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> InputError {
    let path = path.to_owned();
    move |source| InputError::Io { path, source }
}

/// Returns the error of a file that cannot be used.
pub(super) fn invalid_file(path: &Path, reason: &str) -> InputError {
    InputError::InvalidFile { path: path.to_owned(), reason: reason.to_owned() }
}
