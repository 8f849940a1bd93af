//! The run's ONNX files, and the cut at the latent.

use std::{fs, path::Path};

use lopside_onnx::{decode, encode};

use crate::{TrainingError, error::io, export};

pub(crate) const WHOLE: &str = "whole.onnx";
pub(crate) const ENCODER: &str = "encoder.onnx";
pub(crate) const DECODER: &str = "decoder.onnx";

/// Both halves of a model, as ONNX files.
pub(crate) struct Halves {
    pub(crate) encoder: Vec<u8>,
    pub(crate) decoder: Vec<u8>,
}

/// Cuts a whole model at the latent.
pub(crate) fn split(whole: &[u8]) -> Result<Halves, TrainingError> {
    let (encoder, decoder) = lopside_onnx::split(&decode(whole)?, export::LATENT)?;
    Ok(Halves { encoder: encode(&encoder), decoder: encode(&decoder) })
}

/// A file that an earlier step left in the run's folder.
pub(crate) fn read(run: &Path, name: &str, step: &'static str) -> Result<Vec<u8>, TrainingError> {
    let path = run.join(name);
    fs::read(&path).map_err(|_| TrainingError::NoStep { path, step })
}

pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), TrainingError> {
    fs::create_dir_all(folder).map_err(io(folder))?;
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(io(&path))
}
