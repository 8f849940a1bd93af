//! Photographs for the image codec: from Debian packages or the user's own folder to training batches.
//!
//! ```text
//! packages ─fetch─► DIR/train/*.jpg ─build─► CACHE/{train,validation}.tiles ─TileSet─► BatchLoader ─► [n, 3, c, c]
//! ```
//! Decoding 250 megapixels takes longer than reading their tiles, so the photographs are decoded once,
//! halved, cut into tiles and stored uncompressed. Batches depend only on a seed and a step, not on the
//! machine's load or the number of threads, so a resumed training sees the same batches as an uninterrupted
//! one.

mod batch;
mod crop;
mod fetch;
mod folder;
mod image_file;
mod index;
mod loader;
mod packages;
mod sample;
mod sources;
mod subsets;
mod tile_set;
mod tiles;

use std::{fs, path::Path};

use image::DynamicImage;

pub use batch::PhotoBatch;
pub use crop::Crop;
pub use fetch::{PROVENANCE_FILE, Provenance, fetch};
pub use image_file::{TILE_BYTES, TILE_SIDE};
pub use index::{INDEX_FILE, IndexedPhoto, SCHEMA_VERSION, TileIndex, TileOptions, TileSubset};
pub use loader::BatchLoader;
pub use sample::BatchSampling;
pub use sources::{DebianPackage, PACKAGES, PhotoGroup, PhotoPurpose, SourcePhoto, all_photos};
pub use tile_set::TileSet;
pub use tiles::{TileCache, build_cache};

use crate::{PhotoError, TrainingError, error::io_error};

/// Iterates over the photographs below a folder, RGB and halved, and skips those too small for a tile.
///
/// # Errors
/// [`PhotoError::NoPhotos`] when the folder does not contain photographs. The error of a single photograph
/// is its item.
pub fn halved_photos(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<DynamicImage, TrainingError>>, TrainingError> {
    let files = folder::list(folder)?;
    if files.is_empty() {
        return Err(PhotoError::NoPhotos { folder: folder.to_owned() }.into());
    }
    Ok(files.into_iter().filter_map(|file| read_halved(&file.path).transpose()))
}

/// Iterates over the photographs below a folder with their names, RGB and in their original size.
///
/// # Errors
/// [`PhotoError::NoPhotos`] when the folder does not contain photographs. The error of a single photograph
/// is its item.
pub fn whole_photos(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<(String, DynamicImage), TrainingError>>, TrainingError> {
    let files = folder::list(folder)?;
    if files.is_empty() {
        return Err(PhotoError::NoPhotos { folder: folder.to_owned() }.into());
    }
    Ok(files.into_iter().map(|file| {
        let bytes = fs::read(&file.path).map_err(io_error(&file.path))?;
        Ok((file.name, image_file::decode(&bytes, &file.path)?.into()))
    }))
}

/// Returns an RGB image of half the size, the mean of every 2×2 pixels, exactly as photographs are halved for
/// tiles. An odd last row or column is dropped.
#[must_use]
pub fn halve_image(image: &DynamicImage) -> DynamicImage {
    image_file::halve(&image.to_rgb8()).into()
}

fn read_halved(path: &Path) -> Result<Option<DynamicImage>, TrainingError> {
    let bytes = fs::read(path).map_err(io_error(path))?;
    let photo = image_file::decode(&bytes, path)?;
    let is_large = image_file::is_large_enough(photo.dimensions(), true);
    Ok(is_large.then(|| image_file::halve(&photo).into()))
}
