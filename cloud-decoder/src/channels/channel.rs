//! One channel and its current offer.
//!
//! The offer is determined again for every query: the folder of the bundle's version, and whether the size,
//! modification time and inode of each file are unchanged. After a change, all files are read and compared with
//! their digests. A damaged or partly copied file is therefore never offered, and a query costs only a few
//! file-system lookups.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use lopside_bundle::{BundleError, DevicePart, Digest, FileRef};
use lopside_decoder::{BundleVersion, Registry, offload::run_blocking};
use lopside_latent::LatentSpaceId;
use tokio::sync::Mutex;

use crate::ServeError;

/// A channel of the channel file.
#[derive(Debug)]
pub(crate) struct Channel {
    name: String,
    bundle: String,
    version: Option<u32>,
    cached: Arc<Mutex<CachedOffer>>,
}

/// The complete edge part of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) bundle: String,
    pub(crate) version: u32,
    pub(crate) latent_space: LatentSpaceId,
    /// The files, `bundle.json` first.
    pub(crate) files: Vec<OfferedFile>,
}

/// One file of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferedFile {
    /// The path as written in the manifest, relative to the bundle's folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
    /// The path of the file on this machine.
    pub(crate) local_path: PathBuf,
}

/// The result of the last query.
#[derive(Debug, Default)]
struct CachedOffer {
    checked: Option<CheckedFolder>,
    logged: Option<Result<Arc<Offer>, String>>,
}

/// The result of checking the files of a folder.
#[derive(Debug)]
struct CheckedFolder {
    folder: PathBuf,
    file_states: Vec<FileState>,
    part: Result<(DevicePart, Vec<OfferedFile>), String>,
}

/// The metadata of a file, which detects a change.
#[derive(Debug, PartialEq, Eq)]
struct FileState {
    path: PathBuf,
    /// Size in bytes, modification time and inode; `None` if the file cannot be found.
    metadata: Option<(u64, Option<SystemTime>, u64)>,
}

impl Channel {
    pub(super) fn new(name: String, bundle: String, version: Option<u32>) -> Self {
        Self { name, bundle, version, cached: Arc::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the bundle, and its version unless the channel follows the newest one.
    pub(crate) fn bundle_and_version(&self) -> (&str, Option<u32>) {
        (&self.bundle, self.version)
    }

    /// Returns whether both channels have the same configuration.
    pub(super) fn has_same_config(&self, other: &Self) -> bool {
        self.name == other.name && self.bundle_and_version() == other.bundle_and_version()
    }

    /// Returns the current offer. Concurrent calls are serialised, so that files are read once. Changes are
    /// logged.
    ///
    /// # Errors
    /// [`ServeError::ChannelUnavailable`] with the reason.
    pub(super) async fn current_offer(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
    ) -> Result<Arc<Offer>, ServeError> {
        let mut cached = Arc::clone(&self.cached).lock_owned().await;
        let (channel, registry) = (Arc::clone(self), Arc::clone(registry));
        let offer = run_blocking(move || channel.update_offer(&registry, &mut cached)).await?;
        offer.map_err(|reason| ServeError::ChannelUnavailable { channel: self.name.clone(), reason })
    }

    /// Returns the current offer without a cache, for a single query. Blocks.
    ///
    /// # Errors
    /// The reason why nothing is offered.
    pub(crate) fn offer_once(&self, registry: &Registry) -> Result<Offer, String> {
        self.build_offer(registry, &mut None)
    }

    fn update_offer(&self, registry: &Registry, cached: &mut CachedOffer) -> Result<Arc<Offer>, String> {
        let found = self.build_offer(registry, &mut cached.checked).map(Arc::new);
        if cached.logged.as_ref() != Some(&found) {
            self.log_change(&found);
        }
        // An equal result replaces nothing, so that callers share one allocation.
        let result = cached.logged.take().filter(|logged| *logged == found).unwrap_or(found);
        cached.logged.insert(result).clone()
    }

    fn build_offer(&self, registry: &Registry, checked: &mut Option<CheckedFolder>) -> Result<Offer, String> {
        let catalog = registry.catalog();
        let version =
            catalog.version(&self.bundle, self.version).ok_or_else(|| self.why_not_served(registry))?;
        let BundleVersion { number, folder, .. } = version;
        let checked = match checked.take().filter(|checked| checked.is_current(folder)) {
            Some(unchanged) => checked.insert(unchanged),
            None => checked.insert(CheckedFolder::check_folder(folder)),
        };
        let (part, files) = checked.part.as_ref().map_err(String::clone)?;
        let DevicePart { name, latent_space, .. } = part;
        if catalog.by_space(*latent_space).is_err() {
            return Err(format!(
                "the folder of bundle {name:?} has latent space {latent_space}, which is not served here: load the \
                 bundle again, or start with --watch-seconds"
            ));
        }
        Ok(Offer {
            bundle: name.clone(),
            version: *number,
            latent_space: *latent_space,
            files: files.clone(),
        })
    }

    /// Explains why a suitable version of the bundle is not served. Scans all folders.
    fn why_not_served(&self, registry: &Registry) -> String {
        let mut index = registry.list_bundles().into_iter();
        let found = index.rfind(|row| {
            row.name == self.bundle && self.version.is_none_or(|version| version == row.version)
        });
        let bundle = match self.version {
            Some(version) => format!("version {version} of bundle {:?}", self.bundle),
            None => format!("bundle {:?}", self.bundle),
        };
        match found {
            None => format!("no folder of --bundle contains {bundle}: add it, or name another bundle"),
            Some(row) => format!(
                "{bundle} is not served here, so its frames could not be decoded ({}): load it, or name another bundle",
                row.reason
            ),
        }
    }

    fn log_change(&self, found: &Result<Arc<Offer>, String>) {
        let channel = &self.name;
        match found {
            Ok(offer) => {
                let (bundle, version, bytes) = (&offer.bundle, offer.version, offer.total_bytes());
                let space = offer.latent_space;
                tracing::info!(channel, bundle, version, latent_space = %space, bytes, "channel offers a bundle");
            }
            Err(reason) => tracing::error!(channel, reason, "channel cannot offer its bundle"),
        }
    }
}

impl Offer {
    /// Returns the total size of all files in bytes.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl CheckedFolder {
    /// Reads and checks all files.
    fn check_folder(folder: &Path) -> Self {
        // Metadata is read before the contents: a file that changes in between differs at the next check.
        let mut file_states = vec![FileState::read_metadata(folder.join("bundle.json"))];
        let part = check_part(folder, &mut file_states).map_err(|error| error.to_string());
        Self { folder: folder.to_owned(), file_states, part }
    }

    /// Returns whether this is the result for `folder` and all of its files are unchanged.
    fn is_current(&self, folder: &Path) -> bool {
        self.folder == folder
            && self.file_states.iter().all(|state| FileState::read_metadata(state.path.clone()) == *state)
    }
}

impl FileState {
    fn read_metadata(path: PathBuf) -> Self {
        let metadata = fs::metadata(&path).ok();
        Self { path, metadata: metadata.map(|file| (file.len(), file.modified().ok(), file.ino())) }
    }
}

/// Reads the part of a bundle that devices need, and checks its files. Adds the metadata of the files that the
/// manifest names to `file_states`.
fn check_part(
    folder: &Path,
    file_states: &mut Vec<FileState>,
) -> Result<(DevicePart, Vec<OfferedFile>), BundleError> {
    let part = DevicePart::read(folder)?;
    let (_, named) = part.files.split_first().unwrap_or_else(|| unreachable!("the manifest is first"));
    file_states.extend(named.iter().map(|file| FileState::read_metadata(folder.join(&file.path))));
    let files = part.files.iter().map(|file| check_file(folder, file)).collect::<Result<_, BundleError>>()?;
    Ok((part, files))
}

fn check_file(folder: &Path, file: &FileRef) -> Result<OfferedFile, BundleError> {
    let local_path = DevicePart::verify_file(folder, file)?;
    let FileRef { path, bytes, sha256 } = file.clone();
    let sha256 = Digest::to_bytes(&sha256).unwrap_or_else(|| unreachable!("the digest has been compared"));
    Ok(OfferedFile { path, bytes, sha256, local_path })
}
