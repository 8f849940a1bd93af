//! The run's ONNX files, and the cut at the latent.

use std::{fs, path::Path};

use lopside_onnx::{decode_model, encode_model};

use crate::{
    RunError, TrainingError,
    error::{io_error, missing_or_io_error},
    net::{LATENT, Net},
};

pub(crate) const WHOLE_FILE: &str = "whole.onnx";
pub(crate) const ENCODER_FILE: &str = "encoder.onnx";
pub(crate) const DECODER_FILE: &str = "decoder.onnx";
pub(crate) const CLASSIFIER_FILE: &str = "classifier.onnx";

/// Both halves of a model, as ONNX files.
pub(crate) struct Halves {
    pub(crate) encoder: Vec<u8>,
    pub(crate) decoder: Vec<u8>,
    /// Reads the latent, like the decoder. `None` without a classifier.
    pub(crate) classifier: Option<Vec<u8>>,
}

/// Cuts a whole model at the latent. Models with taps or with a classifier are exported part by part, because
/// more than the latent crosses the cut or more than one output follows it.
pub(crate) fn split_model(whole: &[u8], net: &Net) -> Result<Halves, TrainingError> {
    if net.blueprint().has_taps() || net.classifier.is_some() {
        return Ok(Halves {
            encoder: encode_model(&net.encoder_half()?),
            decoder: encode_model(&net.decoder_half()?),
            classifier: net.classifier_head()?.as_ref().map(encode_model),
        });
    }
    let (encoder, decoder) = lopside_onnx::split_model(&decode_model(whole)?, LATENT)?;
    Ok(Halves { encoder: encode_model(&encoder), decoder: encode_model(&decoder), classifier: None })
}

/// Reads a file that an earlier step left in the run's folder.
pub(crate) fn read_step_file(run: &Path, name: &str, step: &'static str) -> Result<Vec<u8>, TrainingError> {
    let path = run.join(name);
    fs::read(&path)
        .map_err(missing_or_io_error(&path, RunError::MissingStepOutput { path: path.clone(), step }))
}

pub(crate) fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), TrainingError> {
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(io_error(&path))
}
