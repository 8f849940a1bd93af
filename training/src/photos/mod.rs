//! Photographs for the picture codec: from Debian packages or a folder of one's own to training batches.
//!
//! ```text
//! packages ─fetch─► DIR/train/*.jpg ─build─► CACHE/{train,validation}.tiles ─TileSet─► BatchLoader ─► [n, 3, c, c]
//! ```
//! Decoding 250 megapixels takes longer than reading what is kept of them, so the photographs are decoded once,
//! halved, cut into tiles and kept raw. Batches follow from a seed and a step alone, whatever the machine's load
//! or the number of threads, so a resumed training sees what an uninterrupted one would.

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

pub use fetch::{PROVENANCE, Provenance, fetch};
pub use index::{INDEX, Index, IndexedFile, SCHEMA_VERSION, Subset, TileOptions};
pub use loader::BatchLoader;
pub use picture::{TILE, TILE_BYTES};
pub use sample::{Batch, Crop, Sampling};
pub use sources::{Group, PACKAGES, Package, Photo, Purpose, photos};
pub use tile_set::TileSet;
pub use tiles::{TileCache, build};

use crate::{TrainingError, error::io};

/// Replaces a file in one step: the old one stays until the new one is whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    let fresh = path.with_added_extension("new");
    fs::write(&fresh, bytes).map_err(io(&fresh))?;
    fs::rename(&fresh, path).map_err(io(path))
}
