//! What is in a frame, of either version.

mod picture;
mod vector;

use std::fs;

use lopside_bundle::{Part, picture::AnyBundle};
use lopside_latent::{LatentError, LatentSpaceId, latent_space_of};

use crate::{EdgeError, cli::InspectArgs, config::FileConfig, error::io};

/// The version of frames of pictures.
const PICTURE_VERSION: u8 = 2;

/// `edge-encoder inspect`.
pub(super) fn run(args: InspectArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let bytes = fs::read(&args.frame).map_err(io(&args.frame))?;
    let folder = file.bundle(args.bundle.bundle).ok();
    let bundle = folder.map(|folder| AnyBundle::load(&folder, Part::Encoder)).transpose()?;
    let id_bytes = if latent_space_of(&bytes)?.is_some() { 8 } else { 0 };
    let frame = Frame { bytes: &bytes, id_bytes, session: bundle.as_ref().map(id_of) };
    // latent_space_of has read both bytes of the start.
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

/// A frame to look into.
struct Frame<'a> {
    bytes: &'a [u8],
    /// Bytes of the latent space's id in it.
    id_bytes: usize,
    /// The latent space of the bundle that was named.
    session: Option<LatentSpaceId>,
}

impl Frame<'_> {
    /// A bundle of the other kind than the frame cannot be the frame's.
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
