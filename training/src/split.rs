//! The run's ONNX files, and the cut at the latent.

use std::{fs, path::Path};

use lopside_onnx::{decode, encode};

use crate::{
    TrainingError,
    error::io,
    net::{LATENT, Net},
};

pub(crate) const WHOLE: &str = "whole.onnx";
pub(crate) const ENCODER: &str = "encoder.onnx";
pub(crate) const DECODER: &str = "decoder.onnx";
pub(crate) const CLASSIFIER: &str = "classifier.onnx";

/// Both halves of a model, as ONNX files.
pub(crate) struct Halves {
    pub(crate) encoder: Vec<u8>,
    pub(crate) decoder: Vec<u8>,
    /// Reads the latent, like the decoder. `None` without a classifier.
    pub(crate) classifier: Option<Vec<u8>>,
}

/// Cuts a whole model at the latent. Models with taps or with a classifier are exported part by part, because
/// more than the latent crosses the cut or more than one output follows it.
pub(crate) fn split(whole: &[u8], net: &Net) -> Result<Halves, TrainingError> {
    if net.blueprint().has_taps() || net.classifier.is_some() {
        return Ok(Halves {
            encoder: encode(&net.encoder_half()?),
            decoder: encode(&net.decoder_half()?),
            classifier: net.classifier_head()?.as_ref().map(encode),
        });
    }
    let (encoder, decoder) = lopside_onnx::split(&decode(whole)?, LATENT)?;
    Ok(Halves { encoder: encode(&encoder), decoder: encode(&decoder), classifier: None })
}

/// Reads a file that an earlier step left in the run's folder.
pub(crate) fn read(run: &Path, name: &str, step: &'static str) -> Result<Vec<u8>, TrainingError> {
    let path = run.join(name);
    fs::read(&path).map_err(|_| TrainingError::NoStep { path, step })
}

pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), TrainingError> {
    fs::create_dir_all(folder).map_err(io(folder))?;
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(io(&path))
}
