use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use lopside_bundle::{Bundle, Head, HeadSpec, Manifest, Part};
use lopside_latent::{LatentSpace, LatentSpaceId};

use crate::{Engine, Runtime, ServeError, StartError, engine::Io};

/// The bundles that are served.
#[derive(Debug)]
pub struct Registry {
    by_name: BTreeMap<String, Arc<Served>>,
    by_space: HashMap<LatentSpaceId, Arc<Served>>,
}

/// One bundle and the engines of its heads.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) manifest: Manifest,
    pub(crate) space: LatentSpace,
    heads: Vec<ServedHead>,
}

/// One head and its engine.
#[derive(Debug)]
pub(crate) struct ServedHead {
    pub(crate) spec: HeadSpec,
    pub(crate) engine: Engine,
}

impl Registry {
    /// Loads the bundles of these folders, or of the folders inside them, and starts the engines of their heads;
    /// `queue` jobs may wait before each.
    ///
    /// # Errors
    /// [`StartError`] naming the bundle and head that was refused.
    pub fn load(folders: &[PathBuf], runtime: &Runtime, queue: usize) -> Result<Self, StartError> {
        let mut registry = Self { by_name: BTreeMap::new(), by_space: HashMap::new() };
        for folder in folders {
            for folder in bundles_in(folder)? {
                registry.add(&folder, runtime, queue)?;
            }
        }
        Ok(registry)
    }

    fn add(&mut self, folder: &Path, runtime: &Runtime, queue: usize) -> Result<(), StartError> {
        let bundle = Bundle::load(folder, Part::Heads)
            .map_err(|source| StartError::Bundle { path: folder.to_owned(), source })?;
        let name = bundle.manifest.name.clone();
        if self.by_name.contains_key(&name) {
            return Err(StartError::SameName { name });
        }
        let served = Arc::new(Served::start(bundle, runtime, queue)?);
        tracing::info!(bundle = name, latent_space = %served.space.id(), heads = served.heads.len(), "bundle loaded");
        self.by_space.entry(served.space.id()).or_insert_with(|| Arc::clone(&served));
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
}

impl Served {
    fn start(bundle: Bundle, runtime: &Runtime, queue: usize) -> Result<Self, StartError> {
        let refused = |head: &str, reason| StartError::Head {
            bundle: bundle.manifest.name.clone(),
            head: head.to_owned(),
            reason,
        };
        let start = |head: &Head| {
            let Head { spec, model } = head;
            let engine = Engine::start(runtime, &spec.name, model, io_of(spec, &bundle.space), queue)
                .map_err(|reason| refused(&spec.name, reason))?;
            Ok(ServedHead { spec: spec.clone(), engine })
        };
        let heads = bundle.heads.iter().map(start).collect::<Result<_, StartError>>()?;
        Ok(Self { manifest: bundle.manifest, space: bundle.space, heads })
    }

    /// The newest version of each head, in the manifest's order.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &ServedHead> {
        let newest = |head: &&ServedHead| {
            !self.heads.iter().any(|h| h.spec.name == head.spec.name && h.spec.version > head.spec.version)
        };
        self.heads.iter().filter(newest)
    }

    /// The newest version of a head; of the first one when the name is empty.
    pub(crate) fn head(&self, name: &str) -> Result<&ServedHead, ServeError> {
        self.heads().find(|head| name.is_empty() || head.spec.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.heads().map(|head| head.spec.name.as_str()).collect();
            ServeError::UnknownHead {
                bundle: self.manifest.name.clone(),
                head: name.to_owned(),
                known: known.join(", "),
            }
        })
    }
}

fn io_of(spec: &HeadSpec, space: &LatentSpace) -> Io {
    let dims = |tensor: &lopside_bundle::TensorSpec| -> Vec<usize> {
        tensor.item_dims().unwrap_or_default().iter().map(|&dim| dim as usize).collect()
    };
    Io {
        input: spec.input.name.clone(),
        input_dims: dims(&spec.input),
        output: spec.output.name.clone(),
        output_len: dims(&spec.output).iter().product(),
        latent_space: space.id().to_string(),
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
