use std::time::{Duration, Instant};

use image::DynamicImage;
use lopside_bundle::{Bundle, HeadSpec, InputSpec};
use lopside_input::{normalised, picture_of, samples_of};
use lopside_latent::{IdOnWire, LatentSpace};

use crate::{EdgeError, Plan, source::Input};

/// The encoder half of a bundle, ready to run: preprocessing, tract with a plan of fixed shape, latent coder.
#[derive(Debug)]
pub struct Encoder {
    name: String,
    plan: Plan,
    input: InputSpec,
    input_dims: Vec<u32>,
    heads: Vec<HeadSpec>,
    space: LatentSpace,
}

/// An input as a frame.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The frame.
    pub frame: Vec<u8>,
    /// How long each stage took.
    pub timing: Timing,
}

/// How long the stages of one encoding took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Picture or numbers to encoder input.
    pub preprocess: Duration,
    /// Encoder input to latent.
    pub model: Duration,
    /// Latent to frame.
    pub code: Duration,
}

impl Timing {
    /// All stages.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.preprocess + self.model + self.code
    }
}

impl Encoder {
    /// Loads the encoder of a bundle.
    ///
    /// # Errors
    /// [`EdgeError::Model`] when tract cannot run it or it does not yield the layers that the manifest names.
    pub fn new(bundle: &Bundle) -> Result<Self, EdgeError> {
        let manifest = &bundle.manifest;
        let item = manifest.encoder.input.item_dims().unwrap_or_default();
        let batch = std::iter::once(1).chain(item.iter().map(|&dim| dim as usize)).collect();
        let layers: Vec<&str> = manifest.latent.iter().map(|layer| layer.tensor.name.as_str()).collect();
        Ok(Self {
            name: manifest.name.clone(),
            plan: Plan::of_outputs(&bundle.encoder, batch, &layers)?,
            input: manifest.input.clone(),
            input_dims: item,
            heads: manifest.heads.clone(),
            space: bundle.space.clone(),
        })
    }

    /// The bundle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How inputs become the encoder's tensor.
    #[must_use]
    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// The dimensions of the encoder's tensor, without the batch.
    #[must_use]
    pub fn input_dims(&self) -> &[u32] {
        &self.input_dims
    }

    /// The heads that the manifest names.
    #[must_use]
    pub fn heads(&self) -> &[HeadSpec] {
        &self.heads
    }

    /// The latent space of its frames.
    #[must_use]
    pub fn space(&self) -> &LatentSpace {
        &self.space
    }

    /// The frame of a picture of any size, with all layers.
    ///
    /// # Errors
    /// As [`encode_input`](Self::encode_input).
    pub fn encode(&self, picture: &DynamicImage, id: IdOnWire) -> Result<Encoded, EdgeError> {
        self.encode_with(|| self.picture(picture), None, id)
    }

    /// The frame of an input, with the first `layers` layers of the latent or with all.
    ///
    /// # Errors
    /// [`EdgeError::OtherInput`] when the bundle takes something else, [`EdgeError::Layers`] for a number of layers
    /// that it has not, [`EdgeError::Model`] or [`EdgeError::Latent`] when the encoder yields no latent of its latent
    /// space.
    pub fn encode_input(
        &self,
        input: &Input,
        layers: Option<usize>,
        id: IdOnWire,
    ) -> Result<Encoded, EdgeError> {
        match input {
            Input::Picture(picture) => self.encode_with(|| self.picture(picture), layers, id),
            Input::Numbers(numbers) => self.encode_with(|| self.numbers(numbers), layers, id),
        }
    }

    /// The latent of one preprocessed input, all layers one after the other, before quantisation.
    ///
    /// # Errors
    /// [`EdgeError::Model`] when the model fails or the number of samples is not its input's.
    pub fn latent(&self, samples: &[f32]) -> Result<Vec<f32>, EdgeError> {
        self.plan.run(samples)
    }

    fn encode_with(
        &self,
        samples: impl FnOnce() -> Result<Vec<f32>, EdgeError>,
        layers: Option<usize>,
        id: IdOnWire,
    ) -> Result<Encoded, EdgeError> {
        let values = self.values(layers)?;
        let start = Instant::now();
        let samples = samples()?;
        let preprocessed = Instant::now();
        let latent = self.latent(&samples)?;
        let modelled = Instant::now();
        let frame = self.space.encode(latent.get(..values).unwrap_or(&latent), id)?;
        let timing = Timing {
            preprocess: preprocessed - start,
            model: modelled - preprocessed,
            code: modelled.elapsed(),
        };
        Ok(Encoded { frame, timing })
    }

    /// The values of so many layers.
    fn values(&self, layers: Option<usize>) -> Result<usize, EdgeError> {
        let all = self.space.layers().len();
        match layers {
            None => Ok(self.space.len()),
            Some(found) if (1..=all).contains(&found) => Ok(self.space.prefix(found)),
            Some(found) => Err(EdgeError::Layers { found, layers: all }),
        }
    }

    fn picture(&self, picture: &DynamicImage) -> Result<Vec<f32>, EdgeError> {
        match &self.input {
            InputSpec::Picture(spec) => Ok(samples_of(&picture_of(picture, spec), spec)),
            InputSpec::Series(_) => Err(self.other("windows of numbers")),
            InputSpec::Tensor {} => Err(self.other("tensors")),
        }
    }

    fn numbers(&self, numbers: &[f32]) -> Result<Vec<f32>, EdgeError> {
        match &self.input {
            InputSpec::Picture(_) => Err(self.other("pictures")),
            InputSpec::Series(spec) => Ok(normalised(numbers, spec)),
            InputSpec::Tensor {} => Ok(numbers.to_vec()),
        }
    }

    fn other(&self, takes: &'static str) -> EdgeError {
        EdgeError::OtherInput { bundle: self.name.clone(), takes }
    }
}
