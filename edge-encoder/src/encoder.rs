use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use image::DynamicImage;
use lopside_bundle::{Bundle, Preprocess};
use lopside_latent::{IdOnWire, LatentSpace};
use tract_onnx::prelude::{
    DatumType, Framework as _, InferenceFact, InferenceModelExt as _, IntoRunnable as _, Tensor, TractError, TypedRunnableModel,
    tvec,
};

use crate::{EdgeError, picture_of, samples_of};

/// The encoder half of a bundle, ready to run: preprocessing, tract with a plan of fixed shape, latent coder.
pub struct Encoder {
    plan: Arc<TypedRunnableModel>,
    input_dims: Vec<usize>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let input_dims: Vec<usize> = std::iter::once(1).chain(item.iter().map(|&dim| dim as usize)).collect();
        let plan = plan(&bundle.encoder, &input_dims).map_err(model_error)?;
        Ok(Self { plan, input_dims, preprocess: bundle.manifest.preprocess, space: bundle.space.clone() })
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
        let input = Tensor::from_shape(&self.input_dims, samples).map_err(model_error)?;
        let output = self.plan.run(tvec!(input.into())).map_err(model_error)?;
        let latent = output.first().ok_or_else(|| EdgeError::Model("it has no output".into()))?;
        let values = latent.to_plain_array_view::<f32>().map_err(model_error)?;
        Ok(values.iter().copied().collect())
    }
}

/// A plan of fixed shape: tract runs it twice as fast as one with a symbolic batch.
fn plan(model: &[u8], input_dims: &[usize]) -> Result<Arc<TypedRunnableModel>, TractError> {
    tract_onnx::onnx()
        .model_for_read(&mut &*model)?
        .with_input_fact(0, InferenceFact::dt_shape(DatumType::F32, input_dims))?
        .into_optimized()?
        .into_runnable()
}

fn model_error(error: TractError) -> EdgeError {
    EdgeError::Model(format!("{error:#}"))
}
