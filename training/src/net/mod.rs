//! burn modules built from a blueprint.
//!
//! Encoder θ, decoder φ and classifier are three modules with separate parameters, so that each can have its
//! own optimiser. They exchange row-major rows `[n, values]`: objectives, quantiser and data do not deal with
//! maps.

mod export;
mod names;
mod onnx;
mod score;
mod stack;
#[cfg(test)]
mod tests;
mod window;

use burn::{
    module::Module,
    tensor::{Device, Tensor, activation},
};

pub use export::stamp_latent_space;
pub use names::{INPUT_IMAGE, INPUT_SERIES, LATENT, LOGITS, OUTPUT, SCORES, input_name, tap_name};
pub use stack::Stack;

use crate::definition::{Blueprint, OutputActivation};

/// A model with its weights.
#[derive(Module, Debug)]
pub struct Net {
    /// The encoder, z = f(x; θ).
    pub encoder: Encoder,
    /// The decoder, x̂ = g(z; φ), without the output activation, so that losses can be computed on logits.
    pub decoder: Stack,
    /// The classifier, C(z).
    pub classifier: Option<Stack>,
    #[module(skip)]
    blueprint: Blueprint,
}

/// The encoder's parameters.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Layers and taps.
    pub layers: Stack,
    /// For variational models: a second last layer that computes the log-variance, next to the one that
    /// computes the mean. Together they equal one layer of twice the width; separate, the log-variance need
    /// not be exported.
    pub log_variance: Option<Stack>,
}

/// The result of an encoder.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// z, or the mean of its distribution, `[n, values]`.
    pub latent: Tensor<2>,
    /// ln σ² of each value of the latent, `[n, values]`; `None` for models that are not variational.
    pub log_variance: Option<Tensor<2>>,
    /// The enhancement layers, `[n, values]` each, in the blueprint's order.
    pub taps: Vec<Tensor<2>>,
}

impl Net {
    /// Creates a model with random weights, drawn from the device's seed in the order encoder, log-variance,
    /// decoder, classifier, each from first to last layer.
    #[must_use]
    pub fn new(blueprint: &Blueprint, device: &Device) -> Self {
        let latent = blueprint.latent_stage();
        let log_variance =
            blueprint.definition.variational.map(|_| Stack::new(&blueprint.encoder[latent..=latent], device));
        let classifier = blueprint.definition.classifier.as_ref();
        let net = Self {
            encoder: Encoder { layers: Stack::new(&blueprint.encoder, device), log_variance },
            decoder: Stack::new(&blueprint.decoder, device),
            classifier: classifier.map(|_| Stack::new(&blueprint.classifier, device)),
            blueprint: blueprint.clone(),
        };
        net.materialize()
    }

    /// Returns the blueprint of the model.
    #[must_use]
    pub const fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Encodes samples `[n, values]`.
    #[must_use]
    pub fn encode(&self, input: Tensor<2>) -> Encoded {
        let last = self.blueprint.latent_stage();
        let mut log_variance = None;
        let (latent, taps) = self.encoder.layers.forward(input, &[], |index, features| {
            if index == last {
                log_variance =
                    self.encoder.log_variance.as_ref().map(|stack| stack.forward_row(features.clone()));
            }
        });
        Encoded { latent, log_variance, taps }
    }

    /// Decodes latents `[n, values]` and taps to the output before its activation, `[n, values]`.
    #[must_use]
    pub fn decode(&self, latent: Tensor<2>, taps: &[Tensor<2>]) -> Tensor<2> {
        self.decoder.forward(latent, &self.taps(taps), |_, _| {}).0
    }

    /// Decodes like [`decode`](Self::decode) and applies the output activation.
    #[must_use]
    pub fn reconstruct(&self, latent: Tensor<2>, taps: &[Tensor<2>]) -> Tensor<2> {
        let raw = self.decode(latent, taps);
        match self.blueprint.definition.decoder.activation {
            OutputActivation::Sigmoid => activation::sigmoid(raw),
            OutputActivation::Identity => raw,
        }
    }

    /// Classifies latents `[n, values]` and returns one logit per class, `[n, classes]`. Returns `None`
    /// without a classifier.
    #[must_use]
    pub fn classify(&self, latent: Tensor<2>) -> Option<Tensor<2>> {
        self.classifier.as_ref().map(|classifier| classifier.forward_row(latent))
    }

    /// Pairs taps with their names.
    fn taps<'a>(&'a self, taps: &[Tensor<2>]) -> Vec<(&'a str, Tensor<2>)> {
        self.blueprint.taps.iter().map(|tap| tap.name.as_str()).zip(taps.iter().cloned()).collect()
    }
}
