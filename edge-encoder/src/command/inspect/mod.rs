//! Shows the contents of a frame, of either version.

mod picture;
mod vector;

use std::fs;

use lopside_bundle::{Part, picture::AnyBundle};
use lopside_latent::{LatentError, LatentSpaceId, latent_space_of};

use crate::{EdgeError, cli::InspectArgs, config::FileConfig, error::io};

/// Wire version of the frames of image codecs.
const PICTURE_VERSION: u8 = 2;

/// Runs `edge-encoder inspect`.
pub(super) fn run(args: InspectArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let bytes = fs::read(&args.frame).map_err(io(&args.frame))?;
    let folder = file.bundle(args.bundle.bundle).ok();
    let bundle = folder.map(|folder| AnyBundle::load(&folder, Part::Encoder)).transpose()?;
    let id_bytes = if latent_space_of(&bytes)?.is_some() { 8 } else { 0 };
    let frame = Frame { bytes: &bytes, id_bytes, session: bundle.as_ref().map(id_of) };
    // The call of `latent_space_of` has verified that both bytes of the start exist.
    if bytes[1] >> 4 == PICTURE_VERSION {
        let space = match &bundle {
            Some(AnyBundle::Picture(bundle)) => Some(&bundle.space),
            _ => None,
        };
        picture::inspect(&frame, space, args.json)
    } else {
        let space = match &bundle {
            Some(AnyBundle::Vector(bundle)) => Some(&bundle.space),
            _ => None,
        };
        vector::inspect(&frame, space, args.json)
    }
}

/// A frame to inspect.
struct Frame<'a> {
    bytes: &'a [u8],
    /// Bytes of the latent-space identifier in the frame.
    id_bytes: usize,
    /// The latent space of the named bundle.
    session: Option<LatentSpaceId>,
}

impl Frame<'_> {
    /// Checks that the frame is of the named bundle's latent space.
    fn check(&self, found: LatentSpaceId) -> Result<(), EdgeError> {
        match self.session {
            Some(expected) if expected != found => {
                Err(LatentError::OtherLatentSpace { found, expected }.into())
            }
            _ => Ok(()),
        }
    }
}

fn id_of(bundle: &AnyBundle) -> LatentSpaceId {
    match bundle {
        AnyBundle::Vector(bundle) => bundle.space.id(),
        AnyBundle::Picture(bundle) => bundle.space.id(),
    }
}
