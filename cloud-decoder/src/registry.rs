use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use lopside_bundle::{Part, picture::AnyBundle};
use lopside_latent::LatentSpaceId;

use crate::{
    Runtime, ServeError, StartError, heads::Starter, output::Makes, picture::PictureService,
    vector::VectorService,
};

/// The bundles that are served.
#[derive(Debug)]
pub struct Registry {
    by_name: BTreeMap<String, Arc<Served>>,
    by_space: HashMap<LatentSpaceId, Arc<Served>>,
    queue: usize,
}

/// One bundle and the engines of its heads.
#[derive(Debug)]
pub(crate) enum Served {
    /// Latents of one fixed shape, frames of version 1.
    Vector(VectorService),
    /// Pictures of any size, frames of version 2.
    Picture(PictureService),
}

impl Registry {
    /// Loads the bundles of these folders, or of the folders inside them, and starts the engines of their heads;
    /// `queue` jobs may wait before each.
    ///
    /// # Errors
    /// [`StartError`] naming the bundle and head that was refused.
    pub fn load(folders: &[PathBuf], runtime: &Runtime, queue: usize) -> Result<Self, StartError> {
        let mut registry = Self { by_name: BTreeMap::new(), by_space: HashMap::new(), queue };
        for folder in folders {
            for folder in bundles_in(folder)? {
                registry.add(&folder, Starter { runtime, queue })?;
            }
        }
        Ok(registry)
    }

    fn add(&mut self, folder: &Path, starter: Starter<'_>) -> Result<(), StartError> {
        let bundle = AnyBundle::load(folder, Part::Heads)
            .map_err(|source| StartError::Bundle { path: folder.to_owned(), source })?;
        let name = match &bundle {
            AnyBundle::Vector(bundle) => bundle.manifest.name.clone(),
            AnyBundle::Picture(bundle) => bundle.manifest.name.clone(),
        };
        if self.by_name.contains_key(&name) {
            return Err(StartError::SameName { name });
        }
        let served = Arc::new(Served::start(bundle, starter)?);
        let (space, heads) = (served.latent_space(), served.heads());
        tracing::info!(bundle = name, latent_space = %space, heads, "bundle loaded");
        self.by_space.entry(space).or_insert_with(|| Arc::clone(&served));
        self.by_name.insert(name, served);
        Ok(())
    }

    /// All bundles, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Served> {
        self.by_name.values().map(Arc::as_ref)
    }

    pub(crate) fn by_name(&self, name: &str) -> Result<&Arc<Served>, ServeError> {
        self.by_name.get(name).ok_or_else(|| ServeError::UnknownBundle(name.to_owned()))
    }

    pub(crate) fn by_space(&self, id: LatentSpaceId) -> Result<&Arc<Served>, ServeError> {
        self.by_space.get(&id).ok_or(ServeError::UnknownLatentSpace(id))
    }

    /// Jobs that may wait before each head.
    pub(crate) fn queue(&self) -> usize {
        self.queue
    }
}

impl Served {
    fn start(bundle: AnyBundle, starter: Starter<'_>) -> Result<Self, StartError> {
        Ok(match bundle {
            AnyBundle::Vector(bundle) => Self::Vector(VectorService::start(bundle, starter)?),
            AnyBundle::Picture(bundle) => Self::Picture(PictureService::start(bundle, starter)?),
        })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Vector(service) => &service.manifest.name,
            Self::Picture(service) => &service.manifest.name,
        }
    }

    pub(crate) fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::Vector(service) => service.manifest.latent_space,
            Self::Picture(service) => service.manifest.latent_space,
        }
    }

    /// What a head makes; the first one when the name is empty.
    pub(crate) fn makes(&self, head: &str) -> Result<Makes, ServeError> {
        match self {
            Self::Vector(service) => service.head(head).map(|head| Makes::of(&head.spec.kind)),
            Self::Picture(service) => service.head(head).map(|_| Makes::Pictures),
        }
    }

    fn heads(&self) -> usize {
        match self {
            Self::Vector(service) => service.manifest.heads.len(),
            Self::Picture(service) => service.manifest.heads.len(),
        }
    }
}

/// The folder itself when it is a bundle, else the bundles right inside it, by name.
fn bundles_in(folder: &Path) -> Result<Vec<PathBuf>, StartError> {
    let is_bundle = |path: &Path| path.join("bundle.json").is_file();
    if is_bundle(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = fs::read_dir(folder).map_err(|source| StartError::Bundle {
        path: folder.to_owned(),
        source: lopside_bundle::BundleError::Io { path: folder.to_owned(), source },
    })?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_bundle(path)).collect();
    found.sort();
    if found.is_empty() { Err(StartError::EmptyFolder { path: folder.to_owned() }) } else { Ok(found) }
}
