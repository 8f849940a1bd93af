//! `tiles.json`: the content of a tile cache, and the photographs and options that it was made from.
//!
//! ```text
//! CACHE/train.tiles        RGB8 tiles of 256 x 256, one after another, without padding
//! CACHE/validation.tiles   the same, of other photographs
//! CACHE/tiles.json         this index
//! ```
//! The index is removed before the tiles are replaced and written after them, so if it exists, it describes
//! them.

use std::{fs, path::Path};

use lopside_bundle::Digest;
use serde::{Deserialize, Serialize};

use super::image_file::TILE_BYTES;
use crate::{PhotoError, TrainingError, error::missing_or_io_error, files::replace_file, json::to_json};

/// Name of the index in the cache's folder.
pub const INDEX_FILE: &str = "tiles.json";
/// Version of the index and of the tiles; a cache of another version is rebuilt.
pub const SCHEMA_VERSION: u32 = 2;

/// Options of a tile cache.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TileOptions {
    /// Whether photographs are halved first, which hides their JPEG artefacts.
    pub halve: bool,
    /// Share of the photographs that is used for validation, 0 to 1. Of two or more usable photographs, at
    /// least one is for validation and at least one for training.
    pub validation_share: f64,
}

impl Default for TileOptions {
    fn default() -> Self {
        Self { halve: true, validation_share: 0.1 }
    }
}

/// A subset of the tiles. All tiles of a photograph belong to the same subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TileSubset {
    /// The training tiles.
    Train,
    /// The validation tiles.
    Validation,
}

impl TileSubset {
    /// Both subsets, in the order of their declaration.
    pub const ALL: [Self; 2] = [Self::Train, Self::Validation];

    /// Returns the name of the subset's tile file in the cache's folder.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Train => "train.tiles",
            Self::Validation => "validation.tiles",
        }
    }
}

/// One photograph of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedPhoto {
    /// Path below the folder of photographs, with `/`.
    pub path: String,
    /// The digest of the file.
    pub sha256: Digest,
    /// The subset that its tiles belong to.
    pub subset: TileSubset,
    /// Index of its first tile in the subset, from 0.
    pub first_tile: usize,
    /// Number of its tiles; 0 when the photograph is too small for one.
    pub tiles: usize,
}

/// The content of `tiles.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TileIndex {
    /// The schema version, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The options that the tiles were made with.
    pub options: TileOptions,
    /// The photographs in the order of their paths, including those that are too small.
    pub files: Vec<IndexedPhoto>,
}

impl TileIndex {
    /// Reads the index of a cache.
    ///
    /// # Errors
    /// [`PhotoError::TileCacheMissing`] when it does not exist, [`TrainingError::Io`] when it cannot be read,
    /// [`TrainingError::InvalidJson`] when it is damaged or has other fields.
    pub fn read(cache: &Path) -> Result<Self, TrainingError> {
        let path = cache.join(INDEX_FILE);
        let text = fs::read_to_string(&path)
            .map_err(missing_or_io_error(&path, PhotoError::TileCacheMissing { cache: cache.to_owned() }))?;
        serde_json::from_str(&text).map_err(|source| TrainingError::InvalidJson { path, source })
    }

    /// Returns the number of tiles in a subset.
    #[must_use]
    pub fn tile_count(&self, subset: TileSubset) -> usize {
        self.files_of(subset).map(|file| file.tiles).sum()
    }

    /// Returns the number of photographs that have tiles in a subset.
    #[must_use]
    pub fn photo_count(&self, subset: TileSubset) -> usize {
        self.files_of(subset).filter(|file| file.tiles > 0).count()
    }

    /// Returns the number of photographs that are too small for a tile.
    #[must_use]
    pub fn skipped_count(&self) -> usize {
        self.files.iter().filter(|file| file.tiles == 0).count()
    }

    /// Returns whether the cache's tile files have the lengths that the index implies.
    pub(super) fn matches_files(&self, cache: &Path) -> bool {
        TileSubset::ALL.iter().all(|&subset| {
            let expected = (self.tile_count(subset) * TILE_BYTES) as u64;
            fs::metadata(cache.join(subset.file_name())).is_ok_and(|found| found.len() == expected)
        })
    }

    /// Writes the index atomically: the old one stays until the new one is complete.
    pub(super) fn write(&self, cache: &Path) -> Result<(), TrainingError> {
        replace_file(&cache.join(INDEX_FILE), to_json(self)?.as_bytes())
    }

    fn files_of(&self, subset: TileSubset) -> impl Iterator<Item = &IndexedPhoto> {
        self.files.iter().filter(move |file| file.subset == subset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(subset: TileSubset, first_tile: usize, tiles: usize) -> IndexedPhoto {
        IndexedPhoto { path: "a/b.jpg".into(), sha256: Digest::of(b""), subset, first_tile, tiles }
    }

    fn index() -> TileIndex {
        let files = vec![
            file(TileSubset::Train, 0, 2),
            file(TileSubset::Validation, 0, 3),
            file(TileSubset::Train, 2, 0),
        ];
        TileIndex { schema_version: SCHEMA_VERSION, options: TileOptions::default(), files }
    }

    #[test]
    fn a_written_index_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        index().write(folder.path()).unwrap();
        let read = TileIndex::read(folder.path()).unwrap();
        assert_eq!(read, index());
        assert_eq!(TileSubset::ALL.map(|subset| read.tile_count(subset)), [2, 3]);
        assert_eq!(TileSubset::ALL.map(|subset| read.photo_count(subset)), [1, 1]);
        assert_eq!(read.skipped_count(), 1);
    }

    #[test]
    fn a_missing_and_a_damaged_index_are_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            TileIndex::read(folder.path()),
            Err(TrainingError::Photo(PhotoError::TileCacheMissing { .. }))
        ));
        fs::write(folder.path().join(INDEX_FILE), "{").unwrap();
        assert!(matches!(TileIndex::read(folder.path()), Err(TrainingError::InvalidJson { .. })));
    }

    #[test]
    fn tile_files_of_another_length_are_detected() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!index().matches_files(folder.path()));
        for (subset, tiles) in [(TileSubset::Train, 2), (TileSubset::Validation, 3)] {
            fs::write(folder.path().join(subset.file_name()), vec![0; tiles * TILE_BYTES]).unwrap();
        }
        assert!(index().matches_files(folder.path()));
        fs::write(folder.path().join(TileSubset::Train.file_name()), b"short").unwrap();
        assert!(!index().matches_files(folder.path()));
    }
}
