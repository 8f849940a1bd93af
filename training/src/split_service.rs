//! Runs both halves of a bundle in one process: frames of the edge encoder, outputs of the cloud decoder.

use std::{path::Path, sync::Arc};

use lopside_bundle::{BundlePart, FixedLatentBundle};
use lopside_decoder::{BatchSettings, DecodeRequest, Decoder, Output, Registry, Runtime};
use lopside_encoder::{FixedLatentEncoder, source::EncoderInput};
use lopside_latent::{IdOnWire, Limits};

use crate::TrainingError;

/// The encoder and the decoder of one bundle.
pub(crate) struct SplitService {
    pub(crate) bundle: FixedLatentBundle,
    encoder: FixedLatentEncoder,
    decoder: Decoder,
    tokio: tokio::runtime::Runtime,
}

impl SplitService {
    /// Opens the bundle in `folder`.
    ///
    /// # Errors
    /// [`TrainingError`] when either half rejects the bundle.
    pub(crate) fn open(folder: &Path, runtime: &Runtime) -> Result<Self, TrainingError> {
        let bundle = FixedLatentBundle::load(folder, BundlePart::Whole)?;
        let registry = Registry::load(&[folder.to_owned()], runtime, BatchSettings::default())?;
        let decoder = Decoder::new(Arc::new(registry), Limits::default());
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|source| TrainingError::AsyncRuntime { source })?;
        Ok(Self { encoder: FixedLatentEncoder::new(&bundle)?, bundle, decoder, tokio })
    }

    /// Encodes an input into a frame, with the first `layers` layers or with all.
    ///
    /// # Errors
    /// [`TrainingError`] when the encoder rejects the input.
    pub(crate) fn encode_frame(
        &self,
        input: &EncoderInput,
        layers: Option<usize>,
    ) -> Result<Vec<u8>, TrainingError> {
        Ok(self.encoder.encode_input(input, layers, IdOnWire::Present)?.frame)
    }

    /// Decodes frames with the requested heads.
    ///
    /// # Errors
    /// [`TrainingError`] when the decoder rejects a frame.
    pub(crate) fn decode_frames<F: AsRef<[u8]> + Clone + Send + Sync + 'static>(
        &self,
        request: DecodeRequest<'_, F>,
    ) -> Result<Vec<Vec<Output>>, TrainingError> {
        Ok(self.tokio.block_on(self.decoder.decode(request))?)
    }
}
