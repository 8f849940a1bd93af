//! IDX files, the format of MNIST and its successors: `00 00 08 rank`, then rank extents as big-endian `u32`,
//! then bytes, row-major.

use std::{
    io::{self, Read},
    path::Path,
};

use image::GrayImage;

use super::{Item, Items, numbered, reader, wrong};
use crate::EdgeError;

/// The largest side of an image, in pixels.
const MAX_SIDE: u32 = 1 << 14;

/// Reads the images of an IDX file of rank 3.
pub(super) fn read(path: &Path, mut from: Box<dyn Read>) -> Result<Items, EdgeError> {
    let [count, height, width] = extents(path, &mut from)?;
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(wrong(
            path,
            &format!("images of {width}×{height} pixels are not supported: each side must be 1 to 16384"),
        ));
    }
    let path = path.to_owned();
    Ok(Box::new((0..count as usize).map(move |number| {
        let mut pixels = vec![0; width as usize * height as usize];
        from.read_exact(&mut pixels).map_err(|error| cut_off(&path, &error))?;
        let picture = GrayImage::from_raw(width, height, pixels)
            .ok_or_else(|| wrong(&path, "the size of an image does not match its number of bytes"))?;
        Ok(Item { name: numbered(&path, number), picture: picture.into() })
    })))
}

/// Reads the labels of an IDX file of rank 1, plain or `.gz`.
///
/// # Errors
/// [`EdgeError::Io`] or [`EdgeError::File`], which name the file.
pub fn labels(path: &Path) -> Result<Vec<u8>, EdgeError> {
    let mut from = reader(path)?;
    let [count] = extents(path, &mut from)?;
    let mut labels = Vec::new();
    from.take(u64::from(count)).read_to_end(&mut labels).map_err(|error| cut_off(path, &error))?;
    if labels.len() != count as usize {
        return Err(wrong(path, &format!("it has {} labels instead of {count}", labels.len())));
    }
    Ok(labels)
}

fn extents<const RANK: usize>(path: &Path, from: &mut impl Read) -> Result<[u32; RANK], EdgeError> {
    let mut magic = [0; 4];
    from.read_exact(&mut magic).map_err(|error| cut_off(path, &error))?;
    if magic != [0, 0, 8, RANK as u8] {
        return Err(wrong(
            path,
            &format!("not an IDX file of bytes of rank {RANK}: it starts with {magic:02x?}"),
        ));
    }
    let mut extents = [0; RANK];
    for extent in &mut extents {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes).map_err(|error| cut_off(path, &error))?;
        *extent = u32::from_be_bytes(bytes);
    }
    Ok(extents)
}

fn cut_off(path: &Path, error: &io::Error) -> EdgeError {
    wrong(path, &format!("the IDX file cannot be read completely: {error}"))
}
