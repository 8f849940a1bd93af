//! Builds the tile cache of a folder of photographs, or verifies that an existing one is up to date.
//!
//! A cache is up to date when schema, options, paths and digests are the same; this check hashes the
//! photographs but does not decode them. Otherwise the whole cache is rebuilt next to the old tiles, which
//! are replaced after the last photograph.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use image::RgbImage;
use lopside_bundle::Digest;

use super::{
    INDEX_FILE, IndexedPhoto, SCHEMA_VERSION, TileIndex, TileOptions, TileSubset,
    folder::{self, PhotoFile},
    image_file,
    subsets::assign_subsets,
};
use crate::{PhotoError, TrainingError, error::io_error, progress};

/// A cache that matches the photographs.
#[derive(Debug, Clone, PartialEq)]
pub struct TileCache {
    /// The index of the cache.
    pub index: TileIndex,
    /// Whether an existing cache was reused.
    pub is_reused: bool,
}

/// Ensures that `cache` contains the tiles of all photographs below `photos`.
///
/// # Errors
/// [`PhotoError::NoneLargeEnough`] when all photographs are too small for a tile or the folder does not contain
/// any; [`PhotoError::Decoding`] with the name of one that cannot be read; [`TrainingError::Io`].
pub fn build_cache(photos: &Path, cache: &Path, options: TileOptions) -> Result<TileCache, TrainingError> {
    let files = folder::list(photos)?;
    if let Some(index) = reusable_index(cache, &files, options)? {
        return Ok(TileCache { index, is_reused: true });
    }
    let index = rebuild(photos, cache, &files, options)?;
    Ok(TileCache { index, is_reused: false })
}

/// Returns the index of the cache if it was made from exactly these files and options.
fn reusable_index(
    cache: &Path,
    files: &[PhotoFile],
    options: TileOptions,
) -> Result<Option<TileIndex>, TrainingError> {
    // A damaged index is not an error here, because the cache is rebuilt.
    let Ok(index) = TileIndex::read(cache) else { return Ok(None) };
    let paths = index.files.iter().map(|file| &file.path);
    if index.schema_version != SCHEMA_VERSION
        || index.options != options
        || !paths.eq(files.iter().map(|file| &file.name))
        || !index.matches_files(cache)
    {
        return Ok(None);
    }
    for (file, indexed) in files.iter().zip(&index.files) {
        if Digest::of(&read_bytes(&file.path)?) != indexed.sha256 {
            return Ok(None);
        }
    }
    Ok(Some(index))
}

fn rebuild(
    photos: &Path,
    cache: &Path,
    files: &[PhotoFile],
    options: TileOptions,
) -> Result<TileIndex, TrainingError> {
    let usable: Vec<bool> = files.iter().map(|file| is_usable(file, options)).collect::<Result<_, _>>()?;
    if !usable.contains(&true) {
        let min_side = image_file::TILE_SIDE << usize::from(options.halve);
        let (folder, found) = (photos.to_owned(), files.len());
        return Err(PhotoError::NoneLargeEnough { folder, found, least: min_side }.into());
    }
    let subsets = assign_subsets(files, &usable, options.validation_share);
    fs::create_dir_all(cache).map_err(io_error(cache))?;
    let mut writers =
        [TileWriter::create(cache, TileSubset::Train)?, TileWriter::create(cache, TileSubset::Validation)?];
    let bar = progress::image_bar(files.len());
    let mut indexed = Vec::with_capacity(files.len());
    for ((file, subset), usable) in files.iter().zip(subsets).zip(usable) {
        bar.set_message(file.name.clone());
        indexed.push(writers[subset as usize].append(file, usable, options.halve)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let index = TileIndex { schema_version: SCHEMA_VERSION, options, files: indexed };
    publish(cache, writers, &index)?;
    Ok(index)
}

fn is_usable(file: &PhotoFile, options: TileOptions) -> Result<bool, TrainingError> {
    Ok(image_file::is_large_enough(image_file::read_dimensions(&file.path)?, options.halve))
}

/// Replaces the old cache. The index is removed first, so that a mixture of old and new tiles is never
/// mistaken for a valid cache.
fn publish(cache: &Path, writers: [TileWriter; 2], index: &TileIndex) -> Result<(), TrainingError> {
    let old_index = cache.join(INDEX_FILE);
    if old_index.exists() {
        fs::remove_file(&old_index).map_err(io_error(&old_index))?;
    }
    for writer in writers {
        writer.finish()?;
    }
    index.write(cache)
}

/// The tile file of one subset while it is written.
struct TileWriter {
    subset: TileSubset,
    file: BufWriter<File>,
    temporary_path: PathBuf,
    path: PathBuf,
    tile_count: usize,
}

impl TileWriter {
    fn create(cache: &Path, subset: TileSubset) -> Result<Self, TrainingError> {
        let path = cache.join(subset.file_name());
        let temporary_path = path.with_added_extension("new");
        let file = BufWriter::new(File::create(&temporary_path).map_err(io_error(&temporary_path))?);
        Ok(Self { subset, file, temporary_path, path, tile_count: 0 })
    }

    /// Appends the tiles of a photograph.
    fn append(&mut self, file: &PhotoFile, usable: bool, halve: bool) -> Result<IndexedPhoto, TrainingError> {
        let bytes = read_bytes(&file.path)?;
        let first_tile = self.tile_count;
        if usable {
            let image = image_file::decode(&bytes, &file.path)?;
            self.write(&if halve { image_file::halve(&image) } else { image })?;
        }
        Ok(IndexedPhoto {
            path: file.name.clone(),
            sha256: Digest::of(&bytes),
            subset: self.subset,
            first_tile,
            tiles: self.tile_count - first_tile,
        })
    }

    fn write(&mut self, image: &RgbImage) -> Result<(), TrainingError> {
        for tile in image_file::tiles(image) {
            self.file.write_all(&tile).map_err(io_error(&self.temporary_path))?;
            self.tile_count += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), TrainingError> {
        self.file.flush().map_err(io_error(&self.temporary_path))?;
        fs::rename(&self.temporary_path, &self.path).map_err(io_error(&self.path))
    }
}

impl Drop for TileWriter {
    /// Removes the unfinished file of a failed build; after [`TileWriter::finish`] it does not exist any
    /// more.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary_path);
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, TrainingError> {
    fs::read(path).map_err(io_error(path))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::{super::image_file::TILE_BYTES, *};

    const OPTIONS: TileOptions = TileOptions { halve: true, validation_share: 0.3 };

    /// Returns a folder with six images of 600 x 512, which yield two tiles each, and one that is too small.
    /// Each has its own grey level.
    fn photographs() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("inner")).unwrap();
        for i in 0..6 {
            let name = if i % 2 == 0 { format!("inner/{i}.png") } else { format!("{i}.png") };
            grey(600, 512, i * 10).save(root.path().join(name)).unwrap();
        }
        grey(600, 511, 255).save(root.path().join("small.png")).unwrap();
        root
    }

    fn grey(width: u32, height: u32, value: u8) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([value; 3]))
    }

    #[test]
    fn every_photograph_is_covered_once_in_one_subset() {
        let (photos, cache) = (photographs(), tempfile::tempdir().unwrap());
        let built = build_cache(photos.path(), cache.path(), OPTIONS).unwrap();
        let index = built.index;
        assert!(!built.is_reused && index.matches_files(cache.path()));
        assert_eq!(TileIndex::read(cache.path()).unwrap(), index);
        assert_eq!(index.skipped_count(), 1);
        assert_eq!(TileSubset::ALL.map(|subset| index.tile_count(subset)).iter().sum::<usize>(), 12);
        assert!(TileSubset::ALL.iter().all(|&subset| index.photo_count(subset) > 0));
        for file in index.files.iter().filter(|file| file.tiles > 0) {
            let bytes = fs::read(cache.path().join(file.subset.file_name())).unwrap();
            let tiles = &bytes[file.first_tile * TILE_BYTES..][..2 * TILE_BYTES];
            let value: u8 = file.path.trim_start_matches("inner/").trim_end_matches(".png").parse().unwrap();
            assert!(tiles.iter().all(|&sample| sample == value * 10), "{}", file.path);
        }
    }

    #[test]
    fn an_unchanged_folder_is_not_decoded_again() {
        let (photos, cache) = (photographs(), tempfile::tempdir().unwrap());
        let built = build_cache(photos.path(), cache.path(), OPTIONS).unwrap();
        // A rebuild would overwrite this changed byte.
        let path = cache.path().join(TileSubset::Train.file_name());
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        let repeated = build_cache(photos.path(), cache.path(), OPTIONS).unwrap();
        assert!(repeated.is_reused);
        assert_eq!(repeated.index, built.index);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn tiles_are_rebuilt_when_an_input_changes() {
        let (photos, cache) = (photographs(), tempfile::tempdir().unwrap());
        let mut options = OPTIONS;
        let is_rebuilt = |options| !build_cache(photos.path(), cache.path(), options).unwrap().is_reused;
        assert!(is_rebuilt(options) && !is_rebuilt(options));
        options.halve = false;
        assert!(is_rebuilt(options), "other options");
        grey(600, 512, 99).save(photos.path().join("1.png")).unwrap();
        assert!(is_rebuilt(options), "a file with other content");
        grey(600, 512, 1).save(photos.path().join("more.png")).unwrap();
        assert!(is_rebuilt(options), "a file more");
        fs::remove_file(photos.path().join("more.png")).unwrap();
        assert!(is_rebuilt(options), "a file less");
        fs::remove_file(cache.path().join(TileSubset::Validation.file_name())).unwrap();
        assert!(is_rebuilt(options), "missing tiles");
        fs::write(cache.path().join(INDEX_FILE), "{}").unwrap();
        assert!(is_rebuilt(options), "a damaged index");
        assert!(!is_rebuilt(options));
    }

    #[test]
    fn a_damaged_photograph_is_named_and_the_old_cache_stays() {
        let (photos, cache) = (photographs(), tempfile::tempdir().unwrap());
        let built = build_cache(photos.path(), cache.path(), OPTIONS).unwrap();
        let path = photos.path().join("inner/broken.png");
        let mut bytes = fs::read(photos.path().join("1.png")).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(&path, bytes).unwrap();
        let error = build_cache(photos.path(), cache.path(), OPTIONS).unwrap_err();
        assert!(error.to_string().contains("inner/broken.png"), "{error}");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 3, "unfinished tiles were left behind");
        fs::remove_file(&path).unwrap();
        let repeated = build_cache(photos.path(), cache.path(), OPTIONS).unwrap();
        assert_eq!(repeated, TileCache { is_reused: true, ..built });
    }

    #[test]
    fn a_folder_without_large_images_is_refused() {
        let (photos, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let error = build_cache(photos.path(), cache.path(), OPTIONS).unwrap_err();
        assert!(
            matches!(error, TrainingError::Photo(PhotoError::NoneLargeEnough { found: 0, .. })),
            "{error}"
        );
        grey(511, 600, 1).save(photos.path().join("a.png")).unwrap();
        let error = build_cache(photos.path(), cache.path(), OPTIONS).unwrap_err();
        let one_too_small =
            PhotoError::NoneLargeEnough { folder: photos.path().to_owned(), found: 1, least: 512 };
        assert_eq!(error.to_string(), one_too_small.to_string());
    }
}
