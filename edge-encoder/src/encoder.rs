use std::time::{Duration, Instant};

use crate::{EdgeError, Plan, picture_of, samples_of};
use image::DynamicImage;
use lopside_bundle::{Bundle, Preprocess};
use lopside_latent::{IdOnWire, LatentSpace};

/// The encoder half of a bundle, ready to run: preprocessing, tract with a plan of fixed shape, latent coder.
#[derive(Debug)]
pub struct Encoder {
    name: String,
    plan: Plan,
    preprocess: Preprocess,
    space: LatentSpace,
}

/// A picture as a frame.
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
    /// Picture to encoder input.
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
    /// [`EdgeError::Model`] when tract cannot run it.
    pub fn new(bundle: &Bundle) -> Result<Self, EdgeError> {
        let spec = &bundle.manifest.encoder;
        let item = spec.input.item_dims().unwrap_or_default();
        let input_dims = std::iter::once(1).chain(item.iter().map(|&dim| dim as usize)).collect();
        Ok(Self {
            name: bundle.manifest.name.clone(),
            plan: Plan::new(&bundle.encoder, input_dims)?,
            preprocess: bundle.manifest.preprocess,
            space: bundle.space.clone(),
        })
    }

    /// The bundle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How pictures become the encoder's input.
    #[must_use]
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The latent space of its frames.
    #[must_use]
    pub fn space(&self) -> &LatentSpace {
        &self.space
    }

    /// The frame of a picture of any size.
    ///
    /// # Errors
    /// [`EdgeError::Model`] or [`EdgeError::Latent`] when the encoder yields no latent of its latent space.
    pub fn encode(&self, picture: &DynamicImage, id: IdOnWire) -> Result<Encoded, EdgeError> {
        let start = Instant::now();
        let samples = samples_of(&picture_of(picture, &self.preprocess), &self.preprocess);
        let preprocessed = Instant::now();
        let latent = self.latent(&samples)?;
        let modelled = Instant::now();
        let frame = self.space.encode(&latent, id)?;
        let timing = Timing {
            preprocess: preprocessed - start,
            model: modelled - preprocessed,
            code: modelled.elapsed(),
        };
        Ok(Encoded { frame, timing })
    }

    /// The latent of one preprocessed picture, before quantisation.
    ///
    /// # Errors
    /// [`EdgeError::Model`] when the model fails or the number of samples is not its input's.
    pub fn latent(&self, samples: &[f32]) -> Result<Vec<f32>, EdgeError> {
        self.plan.run(samples)
    }
}
