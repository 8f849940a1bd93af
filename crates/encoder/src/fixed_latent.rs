use std::time::{Duration, Instant};

use image::DynamicImage;
use lopside_bundle::{FixedLatentBundle, FixedLatentHeadSpec, InputSpec, TableSpec};
use lopside_input::{image_samples, normalise_window, to_model_image};
use lopside_latent::{FixedLatentSpace, IdOnWire, image_codec::Quality};

use crate::{EncodeError, ModelPlan, source::EncoderInput};

/// The encoder of a fixed-latent bundle, ready to run: preprocessing, tract with a plan of fixed shape,
/// latent coder.
#[derive(Debug)]
pub struct FixedLatentEncoder {
    name: String,
    plan: ModelPlan,
    input: InputSpec,
    table: TableSpec,
    input_dims: Vec<u32>,
    heads: Vec<FixedLatentHeadSpec>,
    space: FixedLatentSpace,
}

/// The frame of an encoded input.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// The frame.
    pub frame: Vec<u8>,
    /// The quality of the frame; `None` for a fixed latent.
    pub quality: Option<Quality>,
    /// Duration of each stage.
    pub timing: EncodeTiming,
}

/// Durations of the stages of one encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodeTiming {
    /// Conversion of an image or numbers to the encoder's input.
    pub preprocess: Duration,
    /// Computation of the latent by the model.
    pub model: Duration,
    /// Coding of the latent into a frame.
    pub coding: Duration,
}

impl EncodeTiming {
    /// Returns the sum of all stages.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.preprocess + self.model + self.coding
    }
}

impl FixedLatentEncoder {
    /// Loads the encoder of a bundle.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if tract cannot run it or it does not yield the layers that the manifest lists.
    pub fn new(bundle: &FixedLatentBundle) -> Result<Self, EncodeError> {
        let manifest = &bundle.manifest;
        let input_dims = manifest.encoder.input.item_dims().unwrap_or_default();
        let batch_dims = std::iter::once(1).chain(input_dims.iter().map(|&dim| dim as usize)).collect();
        let layers: Vec<&str> = manifest.latent.iter().map(|layer| layer.tensor.name.as_str()).collect();
        Ok(Self {
            name: manifest.name.clone(),
            plan: ModelPlan::of_outputs(&bundle.encoder, batch_dims, &layers)?,
            input: manifest.input.clone(),
            table: manifest.table.clone().unwrap_or_default(),
            input_dims,
            heads: manifest.heads.clone(),
            space: bundle.space.clone(),
        })
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the specification of the inputs and their preprocessing.
    #[must_use]
    pub fn input_spec(&self) -> &InputSpec {
        &self.input
    }

    /// Returns the form of the tables that windows are read from; every key is missing if the bundle declares none.
    #[must_use]
    pub fn table(&self) -> &TableSpec {
        &self.table
    }

    /// Returns the dimensions of the encoder's input tensor, without the batch.
    #[must_use]
    pub fn input_dims(&self) -> &[u32] {
        &self.input_dims
    }

    /// Returns the heads that the manifest lists.
    #[must_use]
    pub fn heads(&self) -> &[FixedLatentHeadSpec] {
        &self.heads
    }

    /// Returns the latent space of the encoder's frames.
    #[must_use]
    pub fn space(&self) -> &FixedLatentSpace {
        &self.space
    }

    /// Encodes an image of any size, with all layers.
    ///
    /// # Errors
    /// As [`encode_input`](Self::encode_input).
    pub fn encode(&self, image: &DynamicImage, id: IdOnWire) -> Result<EncodedFrame, EncodeError> {
        self.encode_with(|| self.image_samples(image), None, id)
    }

    /// Encodes an input with the first `layers` layers of the latent; `None` for all.
    ///
    /// # Errors
    /// [`EncodeError::WrongInputKind`] if the bundle takes another kind of input, [`EncodeError::LayerCount`] if the
    /// model does not have that many layers, [`EncodeError::Model`] or [`EncodeError::Latent`] if the encoder
    /// does not yield a latent of its latent space.
    pub fn encode_input(
        &self,
        input: &EncoderInput,
        layers: Option<usize>,
        id: IdOnWire,
    ) -> Result<EncodedFrame, EncodeError> {
        match input {
            EncoderInput::Image(image) => self.encode_with(|| self.image_samples(image), layers, id),
            EncoderInput::Values(values) => self.encode_with(|| self.value_samples(values), layers, id),
        }
    }

    /// Computes the latent of one preprocessed input, all layers one after the other, before quantisation.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if the model fails or the number of samples does not match its input.
    pub fn latent(&self, samples: &[f32]) -> Result<Vec<f32>, EncodeError> {
        self.plan.run(samples)
    }

    fn encode_with(
        &self,
        samples: impl FnOnce() -> Result<Vec<f32>, EncodeError>,
        layers: Option<usize>,
        id: IdOnWire,
    ) -> Result<EncodedFrame, EncodeError> {
        let values = self.value_count(layers)?;
        let start = Instant::now();
        let samples = samples()?;
        let preprocessed_at = Instant::now();
        let latent = self.latent(&samples)?;
        let modelled_at = Instant::now();
        let frame = self.space.encode(latent.get(..values).unwrap_or(&latent), id)?;
        let timing = EncodeTiming {
            preprocess: preprocessed_at - start,
            model: modelled_at - preprocessed_at,
            coding: modelled_at.elapsed(),
        };
        Ok(EncodedFrame { frame, quality: None, timing })
    }

    /// Returns the number of values of this many layers.
    fn value_count(&self, layers: Option<usize>) -> Result<usize, EncodeError> {
        let layer_count = self.space.layers().len();
        match layers {
            None => Ok(self.space.len()),
            Some(found) if (1..=layer_count).contains(&found) => Ok(self.space.prefix_len(found)),
            Some(found) => Err(EncodeError::LayerCount { found, layers: layer_count }),
        }
    }

    fn image_samples(&self, image: &DynamicImage) -> Result<Vec<f32>, EncodeError> {
        match &self.input {
            InputSpec::Picture(spec) => Ok(image_samples(&to_model_image(image, spec), spec)),
            InputSpec::Series(_) => Err(self.wrong_input("windows of measurements")),
            InputSpec::Tensor {} => Err(self.wrong_input("tensors")),
        }
    }

    fn value_samples(&self, values: &[f32]) -> Result<Vec<f32>, EncodeError> {
        match &self.input {
            InputSpec::Picture(_) => Err(self.wrong_input("images")),
            InputSpec::Series(spec) => Ok(normalise_window(values, spec)),
            InputSpec::Tensor {} => Ok(values.to_vec()),
        }
    }

    fn wrong_input(&self, takes: &'static str) -> EncodeError {
        EncodeError::WrongInputKind { bundle: self.name.clone(), takes }
    }
}
