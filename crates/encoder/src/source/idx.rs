//! IDX files, the format of MNIST and its successors: `00 00 08 rank`, then rank extents as big-endian `u32`,
//! then bytes, row-major.

use std::{
    io::{self, Read},
    path::Path,
};

use image::GrayImage;
use lopside_input::{ImageNotes, InputLimits, check_image_size};

use super::{
    InputError, NamedFile, NamedImage, NamedImages, check_input_count, content_error, image_error,
    invalid_file, numbered_name, open_reader,
};

/// Reads the images of an IDX file of rank 3.
pub(super) fn read(
    file: &NamedFile,
    mut reader: Box<dyn Read>,
    limits: &InputLimits,
) -> Result<NamedImages, InputError> {
    let NamedFile { path, name } = file.clone();
    let [count, height, width] = read_extents(&path, &mut reader)?;
    if width == 0 || height == 0 {
        return Err(invalid_file(
            &path,
            &format!("images of {width}×{height} pixels are not supported: each side must be at least 1"),
        ));
    }
    check_image_size(width, height, limits).map_err(|error| image_error(&path, error))?;
    check_input_count(&path, u64::from(count), limits)?;
    Ok(Box::new((0..count as usize).map(move |number| {
        let mut pixels = vec![0; width as usize * height as usize];
        reader.read_exact(&mut pixels).map_err(|error| truncated_file(&path, &error))?;
        let image = GrayImage::from_raw(width, height, pixels)
            .ok_or_else(|| invalid_file(&path, "the size of an image does not match its number of bytes"))?;
        let (name, notes) = (numbered_name(&name, number), ImageNotes::default());
        Ok(NamedImage { name, picture: image.into(), notes })
    })))
}

/// Reads the labels of an IDX file of rank 1, plain or `.gz`, within the default limits.
///
/// # Errors
/// [`InputError::Io`] or [`InputError::InvalidFile`], which name the file.
pub fn read_labels(path: &Path) -> Result<Vec<u8>, InputError> {
    let limits = InputLimits::default();
    let mut reader = open_reader(path, &limits)?;
    let [count] = read_extents(path, &mut reader)?;
    check_input_count(path, u64::from(count), &limits)?;
    let mut labels = Vec::new();
    reader.take(u64::from(count)).read_to_end(&mut labels).map_err(|error| truncated_file(path, &error))?;
    if labels.len() != count as usize {
        return Err(invalid_file(path, &format!("it has {} labels instead of {count}", labels.len())));
    }
    Ok(labels)
}

fn read_extents<const RANK: usize>(path: &Path, reader: &mut impl Read) -> Result<[u32; RANK], InputError> {
    let mut magic = [0; 4];
    reader.read_exact(&mut magic).map_err(|error| truncated_file(path, &error))?;
    if magic != [0, 0, 8, RANK as u8] {
        return Err(invalid_file(
            path,
            &format!("not an IDX file of bytes of rank {RANK}: it starts with {magic:02x?}"),
        ));
    }
    let mut extents = [0; RANK];
    for extent in &mut extents {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(|error| truncated_file(path, &error))?;
        *extent = u32::from_be_bytes(bytes);
    }
    Ok(extents)
}

fn truncated_file(path: &Path, error: &io::Error) -> InputError {
    content_error(path, "the IDX file cannot be read completely", error)
}
