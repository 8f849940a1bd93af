//! The heads of a bundle, of both model kinds, and their lookup by name and version.

use std::sync::Arc;

use lopside_bundle::{Digest, FixedLatentHeadSpec, image_codec::ImageCodecHead};
use serde::Serialize;

use crate::{
    BatchSettings, DecodeError, LoadError, RequestOptions, Runtime,
    batch::{Engine, HeadName, Permit},
    model::{BatchSlice, HeadModel, InferenceInput, RunHandle, sizing},
    output::OutputKind,
};

/// An item with the name and version of a head.
pub trait VersionedHead {
    /// Returns the name of the head.
    fn name(&self) -> &str;
    /// Returns the version of the head.
    fn version(&self) -> u32;
}

/// The specification of a head, of either model kind.
pub(crate) trait HeadSpec: VersionedHead {
    /// Returns the kind of output that the head makes.
    fn output_kind(&self) -> OutputKind;
    /// Returns the digest of everything that determines the head's outputs for a latent: its model and the rest of its
    /// entry in the manifest.
    fn digest(&self) -> Digest;
}

/// The lookup of heads, which is the same for both model kinds.
pub(crate) trait HeadLookup {
    /// Returns one version of a head. `None` selects the newest version, an empty name the first head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`] with the names of the existing heads.
    fn find(&self, name: &str, version: Option<u32>) -> Result<HeadRef<'_>, DecodeError>;
    /// Returns the newest version of each head.
    fn newest(&self) -> Vec<HeadRef<'_>>;
    /// Returns the versions of a head, newest first.
    fn versions(&self, name: &str) -> Vec<u32>;
    /// Returns the number of heads, with each version counted.
    fn count(&self) -> usize;
}

/// One version of a served head, of either model kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadRef<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: u32,
    pub(crate) output_kind: OutputKind,
    pub(crate) digest: &'a Digest,
    pub(crate) engine: &'a Engine,
}

/// One head and its engine.
#[derive(Debug)]
pub struct ServedHead<S> {
    /// The specification in the manifest.
    pub spec: S,
    /// The engine that runs the head.
    pub engine: Engine,
    /// The digest of everything that determines the head's outputs for a latent.
    digest: Digest,
}

/// The heads of a bundle in all versions, in the manifest's order. Other bundles of the same latent space may
/// share them.
#[derive(Debug)]
pub struct Heads<S> {
    bundle: String,
    all: Vec<Arc<ServedHead<S>>>,
}

/// The runtime and the settings that a bundle's heads are started with.
#[derive(Debug, Clone)]
pub(crate) struct HeadLoader {
    pub(crate) runtime: Runtime,
    pub(crate) batching: BatchSettings,
}

impl HeadLoader {
    /// Returns the largest batch size that an instance tries while it is loaded. On a CPU, the first instance
    /// measures the worthwhile batch size for all of them, unless it is configured; on a GPU, every session
    /// must have run every size.
    fn max_tried_batch(&self, instance: usize) -> usize {
        let measures = instance == 0 && self.batching.max_batch_items.is_none();
        if measures || self.runtime.has_cuda() { sizing::MAX_MEASURED_ITEMS } else { 1 }
    }
}

impl<S> ServedHead<S> {
    /// Loads a head's model once per instance and starts one thread for each. `load` receives the largest
    /// batch size to try.
    ///
    /// # Errors
    /// [`LoadError::Head`] with the problem of the model.
    pub(crate) fn start(
        loader: &HeadLoader,
        bundle: &str,
        spec: S,
        load: impl Fn(&S, usize) -> Result<HeadModel, String>,
    ) -> Result<Arc<Self>, LoadError>
    where
        S: HeadSpec,
    {
        let instances = 0..loader.batching.instances.max(1);
        let models =
            instances.map(|instance| load(&spec, loader.max_tried_batch(instance))).collect::<Result<_, _>>();
        let name = HeadName { bundle, head: spec.name(), version: spec.version() };
        let engine = models.and_then(|models| Engine::start(models, name, loader.batching));
        let engine = engine.map_err(|reason| head_error(bundle, spec.name(), reason))?;
        let digest = spec.digest();
        Ok(Arc::new(Self { spec, engine, digest }))
    }

    /// Runs the head on an inference input and returns its outputs.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`], [`DecodeError::DeadlineExceeded`] or [`DecodeError::Internal`].
    pub(crate) async fn run(
        &self,
        input: InferenceInput,
        options: RequestOptions,
    ) -> Result<BatchSlice, DecodeError> {
        let permit = self.engine.admit(input.items(), input.size_bytes(), options)?;
        self.engine.submit_job(permit, input, options).wait_for_result().await
    }

    /// Runs the head on the inference input of an admitted job. The run is ended if the deadline passes or the future
    /// is dropped. For long jobs, because ONNX Runtime needs an object for each run that can be ended.
    ///
    /// # Errors
    /// [`DecodeError::DeadlineExceeded`] or [`DecodeError::Internal`].
    pub(crate) async fn run_cancellable(
        &self,
        permit: Permit,
        input: InferenceInput,
        options: RequestOptions,
    ) -> Result<BatchSlice, DecodeError> {
        let handle = RunHandle::default();
        let _cancel_on_drop = handle.cancel_on_drop();
        let input = InferenceInput { run_handle: Some(handle), ..input };
        self.engine.submit_job(permit, input, options).wait_for_result().await
    }
}

impl<S: VersionedHead> Heads<S> {
    /// Creates the collection of heads of the bundle with this name.
    pub(crate) fn new(bundle: &str, all: Vec<Arc<ServedHead<S>>>) -> Self {
        Self { bundle: bundle.to_owned(), all }
    }

    /// Returns the heads of several bundles of one latent space as the heads of this bundle. For each name
    /// and version, the first head is kept.
    pub(crate) fn union<'a>(&self, bundles: impl Iterator<Item = &'a Self>) -> Self
    where
        S: 'a,
    {
        let mut union: Vec<Arc<ServedHead<S>>> = Vec::new();
        for head in bundles.flat_map(|heads| &heads.all) {
            if !union.iter().any(|other| other.name() == head.name() && other.version() == head.version()) {
                union.push(Arc::clone(head));
            }
        }
        Self::new(&self.bundle, union)
    }

    /// Returns the newest version of each head.
    pub fn newest_versions(&self) -> impl Iterator<Item = &S> {
        newest(&self.all).map(|head| &head.spec)
    }

    /// Returns one version of a head. `None` selects the newest version, an empty name the first head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`] with the names of the existing heads.
    pub fn version(&self, name: &str, version: Option<u32>) -> Result<&Arc<ServedHead<S>>, DecodeError> {
        find_version(&self.bundle, &self.all, name, version)
    }
}

impl<S: HeadSpec> HeadLookup for Heads<S> {
    fn find(&self, name: &str, version: Option<u32>) -> Result<HeadRef<'_>, DecodeError> {
        self.version(name, version).map(|head| head_ref(head))
    }

    fn newest(&self) -> Vec<HeadRef<'_>> {
        newest(&self.all).map(|head| head_ref(head)).collect()
    }

    fn versions(&self, name: &str) -> Vec<u32> {
        let named = self.all.iter().filter(|head| head.name() == name);
        let mut versions: Vec<u32> = named.map(VersionedHead::version).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions
    }

    fn count(&self) -> usize {
        self.all.len()
    }
}

fn head_ref<S: HeadSpec>(head: &ServedHead<S>) -> HeadRef<'_> {
    let ServedHead { spec, engine, digest } = head;
    HeadRef { name: spec.name(), version: spec.version(), output_kind: spec.output_kind(), digest, engine }
}

/// Returns the digest of a head's entry in the manifest, which contains the digest of its model.
pub(crate) fn entry_digest(entry: &impl Serialize, model: &Digest) -> Digest {
    serde_json::to_vec(entry).map_or_else(|_| model.clone(), |json| Digest::of(&json))
}

/// Returns the newest version of each head, in the given order.
fn newest<H: VersionedHead>(heads: &[H]) -> impl Iterator<Item = &H> {
    heads.iter().filter(move |head| {
        !heads.iter().any(|other| other.name() == head.name() && other.version() > head.version())
    })
}

/// Returns one version of a head. `None` selects the newest version, an empty name the first head.
///
/// # Errors
/// [`DecodeError::UnknownHead`] with the names of the existing heads.
pub(crate) fn find_version<'a, H: VersionedHead>(
    bundle: &str,
    heads: &'a [H],
    name: &str,
    version: Option<u32>,
) -> Result<&'a H, DecodeError> {
    let newest = newest(heads).find(|head| name.is_empty() || head.name() == name);
    let found = match (newest, version) {
        (Some(newest), Some(version)) => {
            heads.iter().find(|head| head.name() == newest.name() && head.version() == version)
        }
        (newest, _) => newest,
    };
    found.ok_or_else(|| {
        let known: Vec<String> = match version {
            None => self::newest(heads).map(|head| head.name().to_owned()).collect(),
            Some(_) => heads.iter().map(|head| format!("{}@{}", head.name(), head.version())).collect(),
        };
        let head = version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"));
        DecodeError::UnknownHead { bundle: bundle.to_owned(), head, known: known.join(", ") }
    })
}

/// Returns the error for a head that cannot be served.
pub(crate) fn head_error(bundle: &str, head: &str, reason: String) -> LoadError {
    LoadError::Head { bundle: bundle.to_owned(), head: head.to_owned(), reason }
}

impl VersionedHead for FixedLatentHeadSpec {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }
}

impl HeadSpec for FixedLatentHeadSpec {
    fn output_kind(&self) -> OutputKind {
        OutputKind::from_head_kind(&self.kind)
    }

    fn digest(&self) -> Digest {
        entry_digest(self, &self.model.sha256)
    }
}

impl VersionedHead for ImageCodecHead {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn version(&self) -> u32 {
        self.spec.version
    }
}

impl<S: VersionedHead> VersionedHead for Arc<ServedHead<S>> {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn version(&self) -> u32 {
        self.spec.version()
    }
}
