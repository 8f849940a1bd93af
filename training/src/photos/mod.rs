//! Photographs for the image codec: from Debian packages or the user's own folder to training batches.
//!
//! ```text
//! packages ─fetch─► DIR/train/*.jpg ─build─► CACHE/{train,validation}.tiles ─TileSet─► BatchLoader ─► [n, 3, c, c]
//! ```
//! Decoding 250 megapixels takes longer than reading their tiles, so the photographs are decoded once,
//! halved, cut into tiles and stored uncompressed. Batches depend only on a seed and a step, not on the
//! machine's load or the number of threads, so a resumed training sees the same batches as an uninterrupted
//! one.

mod fetch;
mod folder;
mod index;
mod loader;
mod packages;
mod picture;
mod sample;
mod sources;
mod subsets;
mod tile_set;
mod tiles;

use std::{fs, path::Path};

use image::DynamicImage;

pub use fetch::{PROVENANCE_FILE, Provenance, fetch};
pub use index::{INDEX_FILE, IndexedPhoto, SCHEMA_VERSION, TileIndex, TileOptions, TileSubset};
pub use loader::BatchLoader;
pub use picture::{TILE_BYTES, TILE_SIDE};
pub use sample::{BatchSampling, Crop, PhotoBatch};
pub use sources::{DebianPackage, PACKAGES, PhotoGroup, PhotoPurpose, SourcePhoto, all_photos};
pub use tile_set::TileSet;
pub use tiles::{TileCache, build_cache};

use crate::{TrainingError, error::io_error};

/// Iterates over the photographs below a folder, RGB and halved, and skips those too small for a tile.
///
/// # Errors
/// [`TrainingError::NoUsablePhotos`] when the folder does not contain photographs. The error of a single photograph
/// is its item.
pub fn halved_photos(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<DynamicImage, TrainingError>>, TrainingError> {
    let files = folder::list(folder)?;
    if files.is_empty() {
        return Err(TrainingError::NoUsablePhotos {
            folder: folder.to_owned(),
            found: 0,
            least: 2 * TILE_SIDE,
        });
    }
    Ok(files.into_iter().filter_map(|file| read_halved(&file.path).transpose()))
}

/// Iterates over the photographs below a folder with their names, RGB and in their original size.
///
/// # Errors
/// [`TrainingError::NoUsablePhotos`] when the folder does not contain photographs. The error of a single photograph
/// is its item.
pub fn whole_photos(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<(String, DynamicImage), TrainingError>>, TrainingError> {
    let files = folder::list(folder)?;
    if files.is_empty() {
        return Err(TrainingError::NoUsablePhotos { folder: folder.to_owned(), found: 0, least: TILE_SIDE });
    }
    Ok(files.into_iter().map(|file| {
        let bytes = fs::read(&file.path).map_err(io_error(&file.path))?;
        Ok((file.name, picture::decode(&bytes, &file.path)?.into()))
    }))
}

/// Returns an RGB image of half the size, the mean of every 2×2 pixels, exactly as photographs are halved for
/// tiles. An odd last row or column is dropped.
#[must_use]
pub fn halve_image(picture: &DynamicImage) -> DynamicImage {
    picture::halve(&picture.to_rgb8()).into()
}

fn read_halved(path: &Path) -> Result<Option<DynamicImage>, TrainingError> {
    let bytes = fs::read(path).map_err(io_error(path))?;
    let photo = picture::decode(&bytes, path)?;
    let large = picture::is_large_enough(photo.dimensions(), true);
    Ok(large.then(|| picture::halve(&photo).into()))
}
