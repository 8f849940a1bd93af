//! The folder of bundles that were installed over the air.
//!
//! ```text
//! lock                      locked by the agent that uses the folder
//! state.json                the update state
//! 3e8e8a2cf2001e23/         a complete bundle, renamed after all of its files were present
//! 3e8e8a2cf2001e23.new/     a bundle that is being assembled
//! download/DIGEST           a complete file, named by its SHA-256
//! download/DIGEST.part      the beginning of a file
//! ```
//! Entries with other names do not belong to the agent and are left alone.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use lopside_bundle::Digest;
use lopside_latent::LatentSpaceId;
use lopside_spool::DiskFile;
use rustix::fs::statvfs;

use super::{
    disk,
    offer::{MANIFEST_NAME, Offer, OfferedFile},
    state::Release,
};
use crate::{EdgeError, UpdateError, error::io_error};

const LOCK_FILE: &str = "lock";
const DOWNLOAD_FOLDER: &str = "download";
const PART_EXTENSION: &str = "part";
const NEW_EXTENSION: &str = "new";

/// The folder, which one agent at a time uses.
#[derive(Debug, Clone)]
pub(super) struct BundleFolder {
    path: PathBuf,
    /// The locked file; the lock ends with the last clone.
    _lock: Arc<DiskFile>,
}

impl BundleFolder {
    /// Opens the folder, and creates it if it is missing.
    ///
    /// # Errors
    /// [`UpdateError::FolderInUse`] if another agent uses the folder, or [`EdgeError::Io`].
    pub(super) fn open(path: &Path) -> Result<Self, EdgeError> {
        let downloads = path.join(DOWNLOAD_FOLDER);
        fs::create_dir_all(&downloads).map_err(io_error(&downloads))?;
        let lock = disk::lock(path, LOCK_FILE)?;
        Ok(Self { path: path.to_owned(), _lock: Arc::new(lock) })
    }

    /// Returns the path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the bundle with this latent space.
    pub(super) fn bundle_path(&self, id: LatentSpaceId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// Returns the path of a completely downloaded file.
    pub(super) fn download_path(&self, file: &OfferedFile) -> PathBuf {
        self.path.join(DOWNLOAD_FOLDER).join(file.digest().as_str())
    }

    /// Returns the path of a partly downloaded file.
    pub(super) fn part_path(&self, file: &OfferedFile) -> PathBuf {
        self.download_path(file).with_added_extension(PART_EXTENSION)
    }

    /// Returns whether this bundle is assembled, judged by the digest of its manifest.
    pub(super) fn has(&self, release: &Release) -> bool {
        let manifest = self.bundle_path(release.latent_space).join(MANIFEST_NAME);
        File::open(manifest).and_then(Digest::from_reader).is_ok_and(|found| found == release.manifest)
    }

    /// Checks that the disk has space for the missing files of a bundle.
    ///
    /// # Errors
    /// [`UpdateError::NotEnoughSpace`] if it does not.
    pub(super) fn check_free_space(&self, offer: &Offer) -> Result<(), EdgeError> {
        let present: u64 = offer.files.iter().map(|file| self.present_bytes(file)).sum();
        let needed = offer.bytes() - present;
        // If the file system does not report its free space, writing will show it.
        let free =
            statvfs(&self.path).map_or(u64::MAX, |stats| stats.f_bavail.saturating_mul(stats.f_frsize));
        if free < needed {
            return Err(UpdateError::NotEnoughSpace { path: self.path.clone(), needed, free }.into());
        }
        Ok(())
    }

    /// Returns the number of bytes of a file that are downloaded.
    fn present_bytes(&self, file: &OfferedFile) -> u64 {
        let metadata = [self.download_path(file), self.part_path(file)]
            .into_iter()
            .find_map(|path| fs::metadata(path).ok());
        metadata.map_or(0, |metadata| metadata.len()).min(file.size_bytes)
    }

    /// Assembles the bundle; all of its files must be downloaded.
    pub(super) fn assemble(&self, offer: &Offer) -> Result<(), EdgeError> {
        let bundle = self.bundle_path(offer.release.latent_space);
        let temporary = bundle.with_added_extension(NEW_EXTENSION);
        disk::remove(&temporary)?;
        fs::create_dir(&temporary).map_err(io_error(&temporary))?;
        for file in &offer.files {
            let target = temporary.join(&file.path);
            let parent = target.parent().unwrap_or(&temporary);
            fs::create_dir_all(parent).map_err(io_error(parent))?;
            disk::link(&self.download_path(file), &target)?;
        }
        for file in &offer.files {
            let folders = Path::new(&file.path).ancestors().skip(1);
            folders.map(|folder| temporary.join(folder)).try_for_each(|folder| disk::sync(&folder))?;
        }
        disk::remove(&bundle)?;
        disk::rename(&temporary, &bundle)
    }

    /// Removes a bundle and its files, so that all of it is downloaded again.
    pub(super) fn discard(&self, offer: &Offer) -> Result<(), EdgeError> {
        disk::remove(&self.bundle_path(offer.release.latent_space))?;
        offer.files.iter().try_for_each(|file| {
            disk::remove(&self.download_path(file))?;
            disk::remove(&self.part_path(file))
        })
    }

    /// Removes bundles other than these, and downloads other than those of this offer.
    pub(super) fn sweep(&self, kept: &[&Release], offer: Option<&Offer>) -> Result<(), EdgeError> {
        for name in entry_names(&self.path)? {
            let (id, suffix) = name.split_once('.').unwrap_or((&name, ""));
            let Ok(id) = id.parse::<LatentSpaceId>() else { continue };
            let is_kept = suffix.is_empty() && kept.iter().any(|release| release.latent_space == id);
            if !is_kept && ["", NEW_EXTENSION].contains(&suffix) {
                disk::remove(&self.path.join(&name))?;
            }
        }
        let downloads = self.path.join(DOWNLOAD_FOLDER);
        let needed: Vec<Digest> =
            offer.iter().flat_map(|offer| &offer.files).map(OfferedFile::digest).collect();
        for name in entry_names(&downloads)? {
            let digest = name.strip_suffix(".part").unwrap_or(&name);
            let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_digest && !needed.iter().any(|needed| needed.as_str() == digest) {
                disk::remove(&downloads.join(&name))?;
            }
        }
        Ok(())
    }
}

fn entry_names(folder: &Path) -> Result<Vec<String>, EdgeError> {
    let entries = fs::read_dir(folder).map_err(io_error(folder))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered_file(path: &str, text: &str) -> OfferedFile {
        let digest = Digest::of(text.as_bytes());
        let byte = |index: usize| u8::from_str_radix(&digest.as_str()[2 * index..2 * index + 2], 16).unwrap();
        OfferedFile { path: path.into(), size_bytes: text.len() as u64, sha256: std::array::from_fn(byte) }
    }

    fn offer(number: u8, files: &[(&str, &str)]) -> Offer {
        let files: Vec<OfferedFile> = files.iter().map(|(path, text)| offered_file(path, text)).collect();
        let release = Release {
            bundle: "toy".into(),
            latent_space: LatentSpaceId::new([number; 8]),
            manifest: files[0].digest(),
        };
        Offer { release, files }
    }

    fn temporary_folder() -> (tempfile::TempDir, BundleFolder) {
        let root = tempfile::tempdir().unwrap();
        let folder = BundleFolder::open(root.path()).unwrap();
        (root, folder)
    }

    fn write_downloads(folder: &BundleFolder, offer: &Offer, files: &[(&str, &str)]) {
        for (file, (_, text)) in offer.files.iter().zip(files) {
            fs::write(folder.download_path(file), text).unwrap();
        }
    }

    #[test]
    fn a_bundle_exists_once_it_is_assembled() {
        let (_root, folder) = temporary_folder();
        let files = [("bundle.json", "{}"), ("golden/a.png", "a"), ("golden/b.png", "a")];
        let offer = offer(7, &files);
        assert!(folder.assemble(&offer).is_err() && !folder.has(&offer.release));
        write_downloads(&folder, &offer, &files);
        folder.assemble(&offer).unwrap();
        assert!(folder.has(&offer.release));
        let bundle = folder.bundle_path(offer.release.latent_space);
        assert_eq!(fs::read(bundle.join("golden/b.png")).unwrap(), b"a");
        // The bundle replaces another one of the same latent space.
        fs::write(bundle.join("bundle.json"), "changed").unwrap();
        assert!(!folder.has(&offer.release));
        write_downloads(&folder, &offer, &files);
        folder.discard(&offer).unwrap();
        assert!(!bundle.exists() && folder.assemble(&offer).is_err());
    }

    #[test]
    fn unreferenced_entries_are_removed_and_foreign_ones_are_kept() {
        let (root, folder) = temporary_folder();
        let files = [("bundle.json", "{}"), ("a", "a")];
        let offers = [offer(1, &files), offer(2, &files), offer(3, &[("bundle.json", "other")])];
        for offer in &offers[..2] {
            write_downloads(&folder, offer, &files);
            folder.assemble(offer).unwrap();
        }
        fs::create_dir(root.path().join("0303030303030303.new")).unwrap();
        fs::write(root.path().join("state.json"), "").unwrap();
        fs::create_dir(root.path().join("fashion")).unwrap();
        fs::write(folder.part_path(&offers[2].files[0]), "o").unwrap();
        folder.sweep(&[&offers[1].release], Some(&offers[2])).unwrap();
        let mut names = entry_names(root.path()).unwrap();
        names.sort();
        assert_eq!(names, ["0202020202020202", DOWNLOAD_FOLDER, "fashion", LOCK_FILE, "state.json"]);
        assert!(
            folder.part_path(&offers[2].files[0]).exists()
                && !folder.download_path(&offers[0].files[1]).exists()
        );
        folder.sweep(&[], None).unwrap();
        assert!(!folder.part_path(&offers[2].files[0]).exists());
    }

    #[test]
    fn one_agent_at_a_time_uses_the_folder() {
        let (root, folder) = temporary_folder();
        let clone = folder.clone();
        drop(folder);
        let error = BundleFolder::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("another agent") && error.contains("lock"), "{error}");
        drop(clone);
        assert!(BundleFolder::open(root.path()).is_ok());
    }

    #[test]
    fn missing_disk_space_is_reported_before_the_download() {
        let (_root, folder) = temporary_folder();
        let mut offer = offer(1, &[("bundle.json", "{}")]);
        folder.check_free_space(&offer).unwrap();
        offer.files[0].size_bytes = 1 << 62;
        let error = folder.check_free_space(&offer).unwrap_err().to_string();
        assert!(error.contains("free some disk space") && error.contains("4611686018427387904"), "{error}");
    }
}
