//! The folders that a photo training reads: photographs and their tiles.

use std::path::{Path, PathBuf};

use crate::{TrainingError, photos};

/// The folders of the photographs and of their tiles.
#[derive(Debug, Clone)]
pub(crate) struct PhotoFolders {
    /// Folder of photographs, whose subfolders `train` and `test` are used if they exist.
    pub(crate) photographs: PathBuf,
    /// Folder of the tile cache; `None` is `tiles` in the run's folder.
    pub(crate) tiles: Option<PathBuf>,
}

impl PhotoFolders {
    /// Returns the folder of photographs for training: the subfolder `train`, or the whole folder if that does
    /// not exist.
    pub(crate) fn train_folder(&self) -> PathBuf {
        self.subset_folder("train")
    }

    /// Returns the folder of photographs for evaluation: the subfolder `test`, or the whole folder if that does
    /// not exist.
    pub(crate) fn test_folder(&self) -> PathBuf {
        self.subset_folder("test")
    }

    /// Returns the folder of the tile cache, which is built if it is missing or outdated. `run` is the folder of
    /// the run.
    pub(crate) fn build_tile_cache(&self, run: &Path) -> Result<PathBuf, TrainingError> {
        let cache = self.tiles.clone().unwrap_or_else(|| run.join("tiles"));
        photos::build_cache(&self.train_folder(), &cache, photos::TileOptions::default())?;
        Ok(cache)
    }

    fn subset_folder(&self, name: &str) -> PathBuf {
        let subset = self.photographs.join(name);
        if subset.is_dir() { subset } else { self.photographs.clone() }
    }
}
