//! The tiles of a cache in memory: 0.2 MB each, about 250 MB for Debian's photographs.

use std::{fs, path::Path, sync::Arc};

use super::{
    Crop, PhotoBatch, TileIndex, TileSubset,
    batch::TileView,
    image_file::{TILE_BYTES, TILE_SIDE},
};
use crate::{PhotoError, TrainingError, error::io_error};

/// All tiles of a cache. Clones share the memory.
#[derive(Debug, Clone)]
pub struct TileSet {
    train: Arc<[u8]>,
    validation: Arc<[u8]>,
}

impl TileSet {
    /// Reads a cache. The validation subset is empty if the cache was made from a single photograph; the
    /// training subset always contains tiles.
    ///
    /// # Errors
    /// [`PhotoError::TileCacheMissing`] when the cache does not exist or its files do not match its index;
    /// [`TrainingError::InvalidJson`], [`TrainingError::Io`].
    pub fn open(cache: &Path) -> Result<Self, TrainingError> {
        let index = TileIndex::read(cache)?;
        if index.tile_count(TileSubset::Train) == 0 || !index.matches_files(cache) {
            return Err(PhotoError::TileCacheMissing { cache: cache.to_owned() }.into());
        }
        Ok(Self {
            train: Self::read_subset(cache, TileSubset::Train)?,
            validation: Self::read_subset(cache, TileSubset::Validation)?,
        })
    }

    /// Returns the number of tiles in a subset.
    #[must_use]
    pub fn len(&self, subset: TileSubset) -> usize {
        self.bytes(subset).len() / TILE_BYTES
    }

    /// Returns whether a subset is empty.
    #[must_use]
    pub fn is_empty(&self, subset: TileSubset) -> bool {
        self.bytes(subset).is_empty()
    }

    /// Returns one tile, interleaved RGB8 of [`TILE_BYTES`].
    ///
    /// # Panics
    /// Panics if `index` is not below [`Self::len`].
    #[must_use]
    pub fn tile(&self, subset: TileSubset, index: usize) -> &[u8] {
        &self.bytes(subset)[index * TILE_BYTES..][..TILE_BYTES]
    }

    /// Returns the centre crops of all validation tiles in the order of the file, `batch` (at least 1) per
    /// step; the last batch may be smaller. Steps count from 0.
    pub fn validation_batches(&self, crop: Crop, batch: usize) -> impl Iterator<Item = PhotoBatch> {
        let margin = (TILE_SIDE - crop.side()) / 2;
        let view = TileView { x: margin, y: margin, orientation: 0 };
        let batch = batch.max(1);
        let count = self.len(TileSubset::Validation);
        (0..count.div_ceil(batch)).map(move |step| {
            let tiles = step * batch..((step + 1) * batch).min(count);
            PhotoBatch::from_views(
                step,
                crop,
                tiles.map(|index| (self.tile(TileSubset::Validation, index), view)),
            )
        })
    }

    fn read_subset(cache: &Path, subset: TileSubset) -> Result<Arc<[u8]>, TrainingError> {
        let path = cache.join(subset.file_name());
        fs::read(&path).map(Arc::from).map_err(io_error(&path))
    }

    fn bytes(&self, subset: TileSubset) -> &[u8] {
        match subset {
            TileSubset::Train => &self.train,
            TileSubset::Validation => &self.validation,
        }
    }

    /// Returns the number of clones that share the tiles.
    #[cfg(test)]
    pub(super) fn owners(&self) -> usize {
        Arc::strong_count(&self.train)
    }

    /// Returns a set in which every tile is filled with one value.
    #[cfg(test)]
    pub(super) fn with_flat_tiles(train: &[u8], validation: &[u8]) -> Self {
        use std::iter::repeat_n;
        let tiles = |values: &[u8]| values.iter().flat_map(|&value| repeat_n(value, TILE_BYTES)).collect();
        Self { train: tiles(train), validation: tiles(validation) }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{INDEX_FILE, TileOptions, build_cache},
        *,
    };

    fn cache() -> (tempfile::TempDir, tempfile::TempDir) {
        let (photos, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for value in [10, 20] {
            let image = image::RgbImage::from_pixel(300, 256, image::Rgb([value, 0, value]));
            image.save(photos.path().join(format!("{value}.png"))).unwrap();
        }
        build_cache(photos.path(), cache.path(), TileOptions { halve: false, validation_share: 0.0 })
            .unwrap();
        (photos, cache)
    }

    #[test]
    fn the_cache_is_read_back() {
        let (_photos, cache) = cache();
        let tiles = TileSet::open(cache.path()).unwrap();
        assert_eq!(TileSubset::ALL.map(|subset| tiles.len(subset)), [2, 2]);
        let mut values = TileSubset::ALL.map(|subset| tiles.tile(subset, 1)[TILE_BYTES - 3]);
        values.sort_unstable();
        assert_eq!(values, [10, 20]);
    }

    #[test]
    fn a_missing_or_truncated_cache_is_refused() {
        let (_photos, cache) = cache();
        fs::write(cache.path().join(TileSubset::Train.file_name()), "short").unwrap();
        let is_missing = |cache: &Path| {
            matches!(TileSet::open(cache), Err(TrainingError::Photo(PhotoError::TileCacheMissing { .. })))
        };
        assert!(is_missing(cache.path()));
        fs::remove_file(cache.path().join(INDEX_FILE)).unwrap();
        assert!(is_missing(cache.path()));
    }

    #[test]
    fn validation_takes_every_tile_once_in_order() {
        let tiles = TileSet::with_flat_tiles(&[0], &[0, 255, 51, 102, 204]);
        let batches: Vec<PhotoBatch> = tiles.validation_batches(Crop::new(32).unwrap(), 2).collect();
        let shapes: Vec<_> = batches.iter().map(|batch| batch.shape).collect();
        assert_eq!(shapes, [[2, 3, 32, 32], [2, 3, 32, 32], [1, 3, 32, 32]]);
        assert_eq!(batches.iter().map(|batch| batch.step).collect::<Vec<_>>(), [0, 1, 2]);
        let first: Vec<f32> =
            batches.iter().flat_map(|batch| batch.samples.chunks(3 * 32 * 32).map(|tile| tile[0])).collect();
        for (found, expected) in first.iter().zip([-0.5, 0.5, -0.3, -0.1, 0.3]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
