//! The heads of a bundle, whatever they make: which one answers to a name.

use lopside_bundle::{
    HeadSpec,
    picture::{PictureHead, PictureHeadSpec},
};

use crate::{Runtime, ServeError, StartError, engine::Engine, model::Model};

/// What has a head's name and version.
pub(crate) trait Versioned {
    fn name(&self) -> &str;
    fn version(&self) -> u32;
}

/// One head and its engine.
#[derive(Debug)]
pub(crate) struct ServedHead<S> {
    pub(crate) spec: S,
    pub(crate) engine: Engine,
}

/// What starting a bundle's heads takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starter<'a> {
    pub(crate) runtime: &'a Runtime,
    /// Jobs that may wait before each head.
    pub(crate) queue: usize,
}

impl<S: Versioned> ServedHead<S> {
    /// Gives a loaded model its thread.
    ///
    /// # Errors
    /// [`StartError::Head`] with what was wrong with the model.
    pub(crate) fn start(
        starter: Starter<'_>,
        bundle: &str,
        spec: S,
        model: Result<Model, String>,
    ) -> Result<Self, StartError> {
        let engine = model.and_then(|model| Engine::start(model, spec.name(), starter.queue));
        let refused =
            |reason| StartError::Head { bundle: bundle.to_owned(), head: spec.name().to_owned(), reason };
        let engine = engine.map_err(refused)?;
        Ok(Self { spec, engine })
    }
}

/// The newest version of each head, in the manifest's order.
pub(crate) fn newest<H: Versioned>(heads: &[H]) -> impl Iterator<Item = &H> {
    heads.iter().filter(move |head| {
        !heads.iter().any(|other| other.name() == head.name() && other.version() > head.version())
    })
}

/// The newest version of a head; of the first one when the name is empty.
///
/// # Errors
/// [`ServeError::UnknownHead`] with the heads there are.
pub(crate) fn find<'a, H: Versioned>(bundle: &str, heads: &'a [H], name: &str) -> Result<&'a H, ServeError> {
    newest(heads).find(|head| name.is_empty() || head.name() == name).ok_or_else(|| {
        let known: Vec<&str> = newest(heads).map(Versioned::name).collect();
        ServeError::UnknownHead { bundle: bundle.to_owned(), head: name.to_owned(), known: known.join(", ") }
    })
}

impl Versioned for HeadSpec {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }
}

impl Versioned for PictureHeadSpec {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }
}

impl Versioned for PictureHead {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn version(&self) -> u32 {
        self.spec.version
    }
}

impl<S: Versioned> Versioned for ServedHead<S> {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn version(&self) -> u32 {
        self.spec.version()
    }
}
