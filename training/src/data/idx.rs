//! Writes IDX files, the format of MNIST: `00 00 08 rank`, `rank` extents as big-endian `u32`, then bytes.

use std::{io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};

use super::ImageDataset;
use crate::{TrainingError, error::io_error};

/// Returns the two gzipped files of a half with their names: its images, `side` × `side` each, and its
/// labels.
///
/// # Errors
/// [`TrainingError::Io`] with the name of the file that cannot be compressed.
pub(super) fn half_files(
    prefix: &str,
    half: &ImageDataset,
    side: u32,
) -> Result<[(String, Vec<u8>); 2], TrainingError> {
    let count = half.len() as u32;
    let images = format!("{prefix}-images-idx3-ubyte.gz");
    let labels = format!("{prefix}-labels-idx1-ubyte.gz");
    let compressed_images =
        pack(&[count, side, side], &half.samples).map_err(io_error(Path::new(&images)))?;
    let compressed_labels = pack(&[count], &half.labels).map_err(io_error(Path::new(&labels)))?;
    Ok([(images, compressed_images), (labels, compressed_labels)])
}

fn pack(extents: &[u32], bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&[0, 0, 8, extents.len() as u8])?;
    for extent in extents {
        encoder.write_all(&extent.to_be_bytes())?;
    }
    encoder.write_all(bytes)?;
    encoder.finish()
}
