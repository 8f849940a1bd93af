//! One served bundle and the engines of its heads, for both model kinds.

use std::sync::Arc;

use lopside_bundle::picture::AnyBundle;
use lopside_latent::LatentSpaceId;

use crate::{
    ServeError, StartError, batch::engine::Engine, heads::Starter, output::Makes, picture::PictureService,
    vector::VectorService,
};

/// One bundle and the engines of its heads.
#[derive(Debug)]
pub(crate) enum Served {
    /// A bundle of fixed latents, with frames of version 1.
    Vector(VectorService),
    /// An image codec, with frames of version 2.
    Picture(PictureService),
}

impl Served {
    /// Starts the engines of a bundle's heads.
    ///
    /// # Errors
    /// [`StartError::Head`] with the name of the head that was refused.
    pub(crate) fn start(bundle: AnyBundle, starter: &Starter) -> Result<Self, StartError> {
        Ok(match bundle {
            AnyBundle::Vector(bundle) => Self::Vector(VectorService::start(bundle, starter)?),
            AnyBundle::Picture(bundle) => Self::Picture(PictureService::start(bundle, starter)?),
        })
    }

    fn vector(&self) -> Option<&VectorService> {
        if let Self::Vector(service) = self { Some(service) } else { None }
    }

    fn picture(&self) -> Option<&PictureService> {
        if let Self::Picture(service) = self { Some(service) } else { None }
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

    /// Returns the kind of output that a head makes; an empty name selects the first head.
    pub(crate) fn makes(&self, head: &str, version: Option<u32>) -> Result<Makes, ServeError> {
        match self {
            Self::Vector(service) => {
                service.heads.version(head, version).map(|head| Makes::of(&head.spec.kind))
            }
            Self::Picture(service) => service.heads.version(head, version).map(|_| Makes::Pictures),
        }
    }

    /// Returns the name and the newest version of each head.
    pub(crate) fn names(&self) -> Vec<(String, u32)> {
        match self {
            Self::Vector(service) => {
                service.heads.newest().map(|head| (head.name.clone(), head.version)).collect()
            }
            Self::Picture(service) => {
                service.heads.newest().map(|head| (head.name.clone(), head.version)).collect()
            }
        }
    }

    /// Returns the name and version of a head. `None` selects the newest version, an empty name the first
    /// head.
    pub(crate) fn find(&self, head: &str, version: Option<u32>) -> Result<(String, u32), ServeError> {
        match self {
            Self::Vector(service) => {
                service.heads.version(head, version).map(|head| (head.spec.name.clone(), head.spec.version))
            }
            Self::Picture(service) => {
                service.heads.version(head, version).map(|head| (head.spec.name.clone(), head.spec.version))
            }
        }
    }

    /// Returns the name and the newest version of the first head with this kind of output.
    pub(crate) fn first_making(&self, makes: Makes) -> Option<(String, u32)> {
        match self {
            Self::Vector(service) => {
                let head = service.heads.newest().find(|head| Makes::of(&head.kind) == makes);
                head.map(|head| (head.name.clone(), head.version))
            }
            Self::Picture(_) if makes != Makes::Pictures => None,
            Self::Picture(service) => {
                service.heads.newest().next().map(|head| (head.name.clone(), head.version))
            }
        }
    }

    /// Returns the versions of a head, newest first.
    pub(crate) fn versions(&self, head: &str) -> Vec<u32> {
        match self {
            Self::Vector(service) => service.heads.versions(head),
            Self::Picture(service) => service.heads.versions(head),
        }
    }

    /// Returns the engine of one version of a head.
    pub(crate) fn engine(&self, head: &str, version: u32) -> Result<&Engine, ServeError> {
        match self {
            Self::Vector(service) => service.heads.version(head, Some(version)).map(|head| &head.engine),
            Self::Picture(service) => service.heads.version(head, Some(version)).map(|head| &head.engine),
        }
    }

    /// Returns this bundle with the heads of all of these bundles, which have the same latent space.
    pub(crate) fn with_heads_of(&self, all: &[Arc<Self>]) -> Self {
        match self {
            Self::Vector(service) => {
                Self::Vector(service.with_heads_of(all.iter().filter_map(|served| served.vector())))
            }
            Self::Picture(service) => {
                Self::Picture(service.with_heads_of(all.iter().filter_map(|served| served.picture())))
            }
        }
    }

    /// Returns the number of heads, with each version counted.
    pub(crate) fn heads(&self) -> usize {
        match self {
            Self::Vector(service) => service.manifest.heads.len(),
            Self::Picture(service) => service.manifest.heads.len(),
        }
    }
}
