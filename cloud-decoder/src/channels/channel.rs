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

use lopside_bundle::{BundleError, Digest, EdgePart, FileRef};
use lopside_latent::LatentSpaceId;
use tokio::sync::Mutex;

use crate::{Registry, ServeError, offload::blocking, registry::Version};

/// A channel of the channel file.
#[derive(Debug)]
pub(crate) struct Channel {
    name: String,
    bundle: String,
    version: Option<u32>,
    last: Arc<Mutex<Last>>,
}

/// The complete edge part of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) bundle: String,
    pub(crate) version: u32,
    pub(crate) latent_space: LatentSpaceId,
    /// The files, `bundle.json` first.
    pub(crate) files: Vec<Offered>,
}

/// One file of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The path as written in the manifest, relative to the bundle's folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
    /// The path of the file on this machine.
    pub(crate) place: PathBuf,
}

/// The result of the last query.
#[derive(Debug, Default)]
struct Last {
    checked: Option<Checked>,
    told: Option<Result<Arc<Offer>, String>>,
}

/// The result of checking the files of a folder.
#[derive(Debug)]
struct Checked {
    folder: PathBuf,
    looks: Vec<Look>,
    part: Result<(EdgePart, Vec<Offered>), String>,
}

/// The metadata of a file, which detects a change.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    path: PathBuf,
    /// Size in bytes, modification time and inode; `None` if the file cannot be found.
    state: Option<(u64, Option<SystemTime>, u64)>,
}

impl Channel {
    pub(super) fn new(name: String, bundle: String, version: Option<u32>) -> Self {
        Self { name, bundle, version, last: Arc::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the bundle, and its version unless the channel follows the newest one.
    pub(crate) fn asks_for(&self) -> (&str, Option<u32>) {
        (&self.bundle, self.version)
    }

    /// Returns whether both channels have the same configuration.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.asks_for() == other.asks_for()
    }

    /// Returns the current offer. Concurrent calls are serialised, so that files are read once. Changes are
    /// logged.
    ///
    /// # Errors
    /// [`ServeError::NotOffered`] with the reason.
    pub(super) async fn offer(self: &Arc<Self>, registry: &Arc<Registry>) -> Result<Arc<Offer>, ServeError> {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let (channel, registry) = (Arc::clone(self), Arc::clone(registry));
        let found = blocking(move || channel.look(&registry, &mut last)).await?;
        found.map_err(|reason| ServeError::NotOffered { channel: self.name.clone(), reason })
    }

    /// Returns the current offer without a cache, for a single query. Blocks.
    ///
    /// # Errors
    /// The reason why nothing is offered.
    pub(crate) fn offer_once(&self, registry: &Registry) -> Result<Offer, String> {
        self.find(registry, &mut None)
    }

    fn look(&self, registry: &Registry, last: &mut Last) -> Result<Arc<Offer>, String> {
        let found = self.find(registry, &mut last.checked).map(Arc::new);
        if last.told.as_ref() != Some(&found) {
            self.tell(&found);
        }
        // An equal result replaces nothing, so that callers share one allocation.
        let told = last.told.take().filter(|told| *told == found).unwrap_or(found);
        last.told.insert(told).clone()
    }

    fn find(&self, registry: &Registry, checked: &mut Option<Checked>) -> Result<Offer, String> {
        let catalog = registry.catalog();
        let version =
            catalog.version(&self.bundle, self.version).ok_or_else(|| self.why_not_served(registry))?;
        let Version { number, folder, .. } = version;
        let checked = match checked.take().filter(|checked| checked.holds(folder)) {
            Some(same) => checked.insert(same),
            None => checked.insert(Checked::read(folder)),
        };
        let (part, files) = checked.part.as_ref().map_err(String::clone)?;
        let EdgePart { name, latent_space, .. } = part;
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
        let wanted = |version| self.version.is_none_or(|wanted| wanted == version);
        let mut index = registry.index().into_iter();
        let found = index.rfind(|row| row.name == self.bundle && wanted(row.version));
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

    fn tell(&self, found: &Result<Arc<Offer>, String>) {
        let channel = &self.name;
        match found {
            Ok(offer) => {
                let (bundle, version, bytes) = (&offer.bundle, offer.version, offer.bytes());
                let space = offer.latent_space;
                tracing::info!(channel, bundle, version, latent_space = %space, bytes, "channel offers a bundle");
            }
            Err(reason) => tracing::error!(channel, reason, "channel cannot offer its bundle"),
        }
    }
}

impl Offer {
    /// Returns the total size of all files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Checked {
    /// Reads and checks all files.
    fn read(folder: &Path) -> Self {
        // Metadata is read before the contents: a file that changes in between differs at the next check.
        let mut looks = vec![Look::at(folder.join("bundle.json"))];
        let mut read = || {
            let part = EdgePart::read(folder)?;
            let (_, named) =
                part.files.split_first().unwrap_or_else(|| unreachable!("the manifest is first"));
            looks.extend(named.iter().map(|file| Look::at(folder.join(&file.path))));
            let files =
                part.files.iter().map(|file| offered(folder, file)).collect::<Result<_, BundleError>>()?;
            Ok((part, files))
        };
        let part = read().map_err(|error: BundleError| error.to_string());
        Self { folder: folder.to_owned(), looks, part }
    }

    /// Returns whether this is the result for `folder` and all of its files are unchanged.
    fn holds(&self, folder: &Path) -> bool {
        self.folder == folder && self.looks.iter().all(|look| Look::at(look.path.clone()) == *look)
    }
}

impl Look {
    fn at(path: PathBuf) -> Self {
        let metadata = fs::metadata(&path).ok();
        Self { path, state: metadata.map(|file| (file.len(), file.modified().ok(), file.ino())) }
    }
}

fn offered(folder: &Path, file: &FileRef) -> Result<Offered, BundleError> {
    let place = EdgePart::check(folder, file)?;
    let FileRef { path, bytes, sha256 } = file.clone();
    let sha256 = Digest::to_bytes(&sha256).unwrap_or_else(|| unreachable!("the digest has been compared"));
    Ok(Offered { path, bytes, sha256, place })
}
