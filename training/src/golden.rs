//! Golden inputs of a bundle, on which a device tests the encoder before it uses it.
//!
//! Every device with the bundle receives them, so the operator chooses them; `training bundle` does not add
//! any.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use lopside_bundle::{BundlePart, GoldenInputDraft, image_codec::AnyBundle, put_golden_inputs};
use lopside_encoder::{AnyEncoder, EncodeOptions, ImageCodecOptions, golden};
use lopside_latent::{IdOnWire, image_codec::Quality};

use crate::{BundleUpdateError, TrainingError, error::io_error};

/// Quality for photographs, a compromise: most coefficients count, and frames stay small.
const QUALITY: Quality = Quality::new(50).unwrap();

/// Runs `training golden`: replaces the golden inputs of the bundle in `folder` by the files `inputs`.
pub(crate) fn run(folder: &Path, inputs: &[PathBuf]) -> Result<(), TrainingError> {
    let options = EncodeOptions { image_codec: ImageCodecOptions::new(QUALITY), use_fast: false };
    let encoder = AnyEncoder::new(&AnyBundle::load(folder, BundlePart::Encoder)?, &options)?;
    let drafts = inputs.iter().map(|path| draft_golden(&encoder, path)).collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    if let Some(duplicate) = drafts.iter().find(|draft| !names.insert(&draft.name)) {
        return Err(BundleUpdateError::DuplicateGoldenName { name: duplicate.name.clone() }.into());
    }
    put_golden_inputs(folder, &drafts)?;
    golden::load_verified(folder, &AnyBundle::load(folder, BundlePart::Encoder)?, &options)?;
    for draft in &drafts {
        eprintln!("golden/{}: {} bytes, frame of {} bytes", draft.name, draft.input.len(), draft.frame.len());
    }
    eprintln!("latent space {} (unchanged)", encoder.latent_space());
    Ok(())
}

fn draft_golden(encoder: &AnyEncoder, path: &Path) -> Result<GoldenInputDraft, TrainingError> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let frame = encoder.encode(&golden::first_input(encoder, path)?, IdOnWire::Present)?.frame;
    Ok(GoldenInputDraft { name, input: fs::read(path).map_err(io_error(path))?, frame })
}
