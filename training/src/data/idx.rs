//! Writes IDX files, the format of MNIST: `00 00 08 rank`, `rank` extents as big-endian `u32`, then bytes.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use super::ImageDataset;

/// Returns the two gzipped files of a half with their names: its images, `side` × `side` each, and its
/// labels.
pub(super) fn half_files(
    prefix: &str,
    half: &ImageDataset,
    side: u32,
) -> std::io::Result<[(String, Vec<u8>); 2]> {
    let count = half.len() as u32;
    let images = pack(&[count, side, side], &half.samples)?;
    let labels = pack(&[count], &half.labels)?;
    Ok([
        (format!("{prefix}-images-idx3-ubyte.gz"), images),
        (format!("{prefix}-labels-idx1-ubyte.gz"), labels),
    ])
}

fn pack(extents: &[u32], bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&[0, 0, 8, extents.len() as u8])?;
    for extent in extents {
        packed.write_all(&extent.to_be_bytes())?;
    }
    packed.write_all(bytes)?;
    packed.finish()
}
