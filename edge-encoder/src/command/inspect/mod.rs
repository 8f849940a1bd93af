//! Shows the contents of a frame, of either version.

mod fixed_latent;
mod image_codec;

use std::fs;

use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use lopside_latent::{LatentError, LatentSpaceId, peek_latent_space};
use merge::Merge as _;

use crate::{EdgeError, cli::InspectArgs, error::io_error, settings::RootTable};

/// Wire version of the frames of image codecs.
const IMAGE_CODEC_VERSION: u8 = 2;

/// Runs `edge-encoder inspect`.
pub(super) fn run(mut args: InspectArgs, file: RootTable) -> Result<(), EdgeError> {
    let bytes = fs::read(&args.frame).map_err(io_error(&args.frame))?;
    args.bundle.merge(file.bundle);
    let folder = args.bundle.bundle.as_deref();
    let bundle = folder.map(|folder| AnyBundle::load(folder, BundlePart::Encoder)).transpose()?;
    let id_bytes = if peek_latent_space(&bytes)?.is_some() { 8 } else { 0 };
    let frame = InspectedFrame { bytes: &bytes, id_bytes, bundle_space: bundle.as_ref().map(bundle_space) };
    // `peek_latent_space` has verified that both bytes of the start exist.
    if bytes[1] >> 4 == IMAGE_CODEC_VERSION {
        let space = match &bundle {
            Some(AnyBundle::ImageCodec(bundle)) => Some(&bundle.space),
            _ => None,
        };
        image_codec::inspect(&frame, space, args.json)
    } else {
        let space = match &bundle {
            Some(AnyBundle::FixedLatent(bundle)) => Some(&bundle.space),
            _ => None,
        };
        fixed_latent::inspect(&frame, space, args.json)
    }
}

/// A frame to inspect.
struct InspectedFrame<'a> {
    bytes: &'a [u8],
    /// Bytes of the latent-space identifier in the frame.
    id_bytes: usize,
    /// The latent space of the named bundle.
    bundle_space: Option<LatentSpaceId>,
}

impl InspectedFrame<'_> {
    /// Checks that the frame is of the named bundle's latent space.
    fn check(&self, found: LatentSpaceId) -> Result<(), EdgeError> {
        match self.bundle_space {
            Some(expected) if expected != found => {
                Err(LatentError::LatentSpaceMismatch { found, expected }.into())
            }
            _ => Ok(()),
        }
    }
}

fn bundle_space(bundle: &AnyBundle) -> LatentSpaceId {
    match bundle {
        AnyBundle::FixedLatent(bundle) => bundle.space.id(),
        AnyBundle::ImageCodec(bundle) => bundle.space.id(),
    }
}
