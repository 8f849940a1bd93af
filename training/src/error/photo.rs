use std::{io as std_io, path::PathBuf};

use lopside_input::{IMAGE_EXTENSIONS, ImageFileError};

/// An error of the photographs that an image codec learns from, and of their tiles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhotoError {
    /// A photograph cannot be decoded.
    #[error("{}: {source}: repair or remove the image", path.display())]
    Decoding {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ImageFileError,
    },
    /// The folder does not contain photographs.
    #[error(
        "{} does not contain images (.{}): `training data photos --out DIR` downloads photographs from Debian packages",
        folder.display(), IMAGE_EXTENSIONS.join(", .")
    )]
    NoPhotos {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder does not contain photographs that are large enough for a tile.
    #[error(
        "{} contains {found} images (.{}), none of them at least {least} × {least} pixels: `training data photos \
         --out DIR` downloads photographs from Debian packages",
        folder.display(), IMAGE_EXTENSIONS.join(", .")
    )]
    NoneLargeEnough {
        /// The folder.
        folder: PathBuf,
        /// Number of image files in it.
        found: usize,
        /// The smallest side that yields a tile, in pixels.
        least: usize,
    },
    /// The fast encoder cannot be fitted to so few photographs.
    #[error("fast encoder: there are too few photographs to fit it to")]
    TooFewPhotos,
    /// The tile cache is missing or incomplete.
    #[error(
        "{} does not contain the tiles that its tiles.json describes: run the command again, so that the tiles are rebuilt \
         from the photographs",
        cache.display()
    )]
    TileCacheMissing {
        /// The folder.
        cache: PathBuf,
    },
    /// The crop does not fit the tiles.
    #[error("a crop of {side} pixels does not fit the tiles: use a multiple of 16 from 16 to 256")]
    InvalidCrop {
        /// The requested side, in pixels.
        side: usize,
    },
    /// The crop does not fit the model.
    #[error("a crop of {side} pixels does not fit the model: use a multiple of {step} up to 256")]
    CropNotMultiple {
        /// The requested side, in pixels.
        side: usize,
        /// The side must be a multiple of this, in pixels.
        step: usize,
    },
    /// A thread that loads batches could not be started.
    #[error("cannot start a thread that loads batches: {source}: raise the limit on threads, or use fewer")]
    ThreadStart {
        /// The operating system's error.
        source: std_io::Error,
    },
}
