//! One served bundle and the engines of its heads, for both model kinds.

use std::sync::Arc;

use lopside_bundle::image_codec::AnyBundle;
use lopside_latent::LatentSpaceId;

use crate::{
    DecodeError, LoadError, batch::Engine, fixed_latent::FixedLatentService, heads::HeadLoader,
    image_codec::ImageCodecService, output::OutputKind,
};

/// One bundle and the engines of its heads.
#[derive(Debug)]
pub enum ServedBundle {
    /// A bundle of fixed latents, with frames of version 1.
    FixedLatent(FixedLatentService),
    /// An image codec, with frames of version 2.
    ImageCodec(ImageCodecService),
}

impl ServedBundle {
    /// Starts the engines of a bundle's heads.
    ///
    /// # Errors
    /// [`LoadError::Head`] with the name of the head that was refused.
    pub(crate) fn start(bundle: AnyBundle, starter: &HeadLoader) -> Result<Self, LoadError> {
        Ok(match bundle {
            AnyBundle::FixedLatent(bundle) => Self::FixedLatent(FixedLatentService::start(bundle, starter)?),
            AnyBundle::ImageCodec(bundle) => Self::ImageCodec(ImageCodecService::start(bundle, starter)?),
        })
    }

    fn as_fixed_latent(&self) -> Option<&FixedLatentService> {
        if let Self::FixedLatent(service) = self { Some(service) } else { None }
    }

    fn as_image_codec(&self) -> Option<&ImageCodecService> {
        if let Self::ImageCodec(service) = self { Some(service) } else { None }
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::FixedLatent(service) => &service.manifest.name,
            Self::ImageCodec(service) => &service.manifest.name,
        }
    }

    /// Returns the latent space whose frames the heads read.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::FixedLatent(service) => service.manifest.latent_space,
            Self::ImageCodec(service) => service.manifest.latent_space,
        }
    }

    /// Returns the kind of output that a head makes; an empty name selects the first head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`].
    pub fn output_kind(&self, head: &str, version: Option<u32>) -> Result<OutputKind, DecodeError> {
        match self {
            Self::FixedLatent(service) => {
                service.heads.version(head, version).map(|head| OutputKind::from_head_kind(&head.spec.kind))
            }
            Self::ImageCodec(service) => service.heads.version(head, version).map(|_| OutputKind::Images),
        }
    }

    /// Returns the name and the newest version of each head.
    #[must_use]
    pub fn names(&self) -> Vec<(String, u32)> {
        match self {
            Self::FixedLatent(service) => {
                service.heads.newest_versions().map(|head| (head.name.clone(), head.version)).collect()
            }
            Self::ImageCodec(service) => {
                service.heads.newest_versions().map(|head| (head.name.clone(), head.version)).collect()
            }
        }
    }

    /// Returns the name and version of a head. `None` selects the newest version, an empty name the first
    /// head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`].
    pub fn find_head(&self, head: &str, version: Option<u32>) -> Result<(String, u32), DecodeError> {
        match self {
            Self::FixedLatent(service) => {
                service.heads.version(head, version).map(|head| (head.spec.name.clone(), head.spec.version))
            }
            Self::ImageCodec(service) => {
                service.heads.version(head, version).map(|head| (head.spec.name.clone(), head.spec.version))
            }
        }
    }

    /// Returns the name and the newest version of the first head with this kind of output.
    #[must_use]
    pub fn first_head_of_kind(&self, makes: OutputKind) -> Option<(String, u32)> {
        match self {
            Self::FixedLatent(service) => {
                let head = service
                    .heads
                    .newest_versions()
                    .find(|head| OutputKind::from_head_kind(&head.kind) == makes);
                head.map(|head| (head.name.clone(), head.version))
            }
            Self::ImageCodec(_) if makes != OutputKind::Images => None,
            Self::ImageCodec(service) => {
                service.heads.newest_versions().next().map(|head| (head.name.clone(), head.version))
            }
        }
    }

    /// Returns the versions of a head, newest first.
    #[must_use]
    pub fn versions(&self, head: &str) -> Vec<u32> {
        match self {
            Self::FixedLatent(service) => service.heads.versions(head),
            Self::ImageCodec(service) => service.heads.versions(head),
        }
    }

    /// Returns the engine of one version of a head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`].
    pub fn engine(&self, head: &str, version: u32) -> Result<&Engine, DecodeError> {
        match self {
            Self::FixedLatent(service) => service.heads.version(head, Some(version)).map(|head| &head.engine),
            Self::ImageCodec(service) => service.heads.version(head, Some(version)).map(|head| &head.engine),
        }
    }

    /// Returns this bundle with the heads of all of these bundles, which have the same latent space.
    pub(crate) fn with_heads_of(&self, all: &[Arc<Self>]) -> Self {
        match self {
            Self::FixedLatent(service) => Self::FixedLatent(
                service.with_heads_of(all.iter().filter_map(|served| served.as_fixed_latent())),
            ),
            Self::ImageCodec(service) => Self::ImageCodec(
                service.with_heads_of(all.iter().filter_map(|served| served.as_image_codec())),
            ),
        }
    }

    /// Returns the number of heads, with each version counted.
    #[must_use]
    pub fn head_count(&self) -> usize {
        match self {
            Self::FixedLatent(service) => service.manifest.heads.len(),
            Self::ImageCodec(service) => service.manifest.heads.len(),
        }
    }
}
