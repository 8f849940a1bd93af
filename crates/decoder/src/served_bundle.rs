//! One served bundle and the engines of its heads, for both model kinds.

use std::sync::Arc;

use lopside_bundle::{Digest, image_codec::AnyBundle};
use lopside_latent::LatentSpaceId;

use crate::{
    DecodeError, LoadError,
    batch::Engine,
    fixed_latent::FixedLatentService,
    heads::{HeadLoader, HeadLookup, HeadRef},
    image_codec::ImageCodecService,
    output::OutputKind,
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
    pub(crate) fn start(bundle: AnyBundle, loader: &HeadLoader) -> Result<Self, LoadError> {
        Ok(match bundle {
            AnyBundle::FixedLatent(bundle) => Self::FixedLatent(FixedLatentService::start(bundle, loader)?),
            AnyBundle::ImageCodec(bundle) => Self::ImageCodec(ImageCodecService::start(bundle, loader)?),
        })
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
        self.heads().find(head, version).map(|head| head.output_kind)
    }

    /// Returns the name and the newest version of each head.
    #[must_use]
    pub fn names(&self) -> Vec<(String, u32)> {
        self.heads().newest().into_iter().map(name_and_version).collect()
    }

    /// Returns the name and version of a head. `None` selects the newest version, an empty name the first
    /// head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`].
    pub fn find_head(&self, head: &str, version: Option<u32>) -> Result<(String, u32), DecodeError> {
        self.heads().find(head, version).map(name_and_version)
    }

    /// Returns the digest of everything that determines the outputs of a version of a head for a latent: its model
    /// and its entry in the manifest. It changes when the head is replaced without a new version.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`].
    pub fn head_digest(&self, head: &str, version: u32) -> Result<&Digest, DecodeError> {
        self.heads().find(head, Some(version)).map(|head| head.digest)
    }

    /// Returns the name and the newest version of the first head with this kind of output.
    #[must_use]
    pub fn first_head_of_kind(&self, kind: OutputKind) -> Option<(String, u32)> {
        self.heads().newest().into_iter().find(|head| head.output_kind == kind).map(name_and_version)
    }

    /// Returns the versions of a head, newest first.
    #[must_use]
    pub fn versions(&self, head: &str) -> Vec<u32> {
        self.heads().versions(head)
    }

    /// Returns the engine of one version of a head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`].
    pub fn engine(&self, head: &str, version: u32) -> Result<&Engine, DecodeError> {
        self.heads().find(head, Some(version)).map(|head| head.engine)
    }

    /// Returns the number of heads, with each version counted.
    #[must_use]
    pub fn head_count(&self) -> usize {
        self.heads().count()
    }

    /// Returns this bundle with the heads of all of these bundles, which have the same latent space.
    pub(crate) fn with_heads_of(&self, bundles: &[Arc<Self>]) -> Self {
        match self {
            Self::FixedLatent(service) => Self::FixedLatent(
                service.with_heads_of(bundles.iter().filter_map(|served| served.as_fixed_latent())),
            ),
            Self::ImageCodec(service) => Self::ImageCodec(
                service.with_heads_of(bundles.iter().filter_map(|served| served.as_image_codec())),
            ),
        }
    }

    fn heads(&self) -> &dyn HeadLookup {
        match self {
            Self::FixedLatent(service) => &service.heads,
            Self::ImageCodec(service) => &service.heads,
        }
    }

    fn as_fixed_latent(&self) -> Option<&FixedLatentService> {
        if let Self::FixedLatent(service) = self { Some(service) } else { None }
    }

    fn as_image_codec(&self) -> Option<&ImageCodecService> {
        if let Self::ImageCodec(service) = self { Some(service) } else { None }
    }
}

fn name_and_version(head: HeadRef<'_>) -> (String, u32) {
    (head.name.to_owned(), head.version)
}
