//! burn modules built from a blueprint.
//!
//! Encoder θ, decoder φ and classifier are three modules with parameters of their own, so that each can have its
//! optimiser. Between them go rows `[n, values]`, row-major: objectives, quantiser and data know nothing of maps.

mod export;
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

pub use export::{INPUT_PICTURE, INPUT_SERIES, LATENT, LOGITS, OUTPUT, input_name, stamp, tap_name};
pub use score::SCORES;
pub use stack::Stack;

use crate::definition::{Blueprint, OutputActivation};

/// A model.
#[derive(Module, Debug)]
pub struct Net {
    /// z = f(x; θ).
    pub encoder: Encoder,
    /// x̂ = g(z; φ), the output's activation left out, so that losses can work on logits.
    pub decoder: Stack,
    /// C(z).
    pub classifier: Option<Stack>,
    #[module(skip)]
    blueprint: Blueprint,
}

/// The encoder's parameters.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Layers and taps.
    pub layers: Stack,
    /// Of a variational model: beside the last layer, which gives the mean, one of the same kind that gives the
    /// log-variance. Together they are one layer of twice the width; apart, the log-variance need not be exported.
    pub log_variance: Option<Stack>,
}

/// What an encoder gives.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// z, or the mean of its distribution, `[n, values]`.
    pub latent: Tensor<2>,
    /// ln σ² of each value of the latent, `[n, values]`.
    pub log_variance: Option<Tensor<2>>,
    /// The enhancement layers, `[n, values]` each, in the blueprint's order.
    pub taps: Vec<Tensor<2>>,
}

impl Net {
    /// A model with fresh weights, drawn from the device's seed: encoder, log-variance, decoder, classifier, each from
    /// its first layer to its last.
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

    /// What it was built from.
    #[must_use]
    pub const fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Samples `[n, values]` to latents.
    #[must_use]
    pub fn encode(&self, input: Tensor<2>) -> Encoded {
        let last = self.blueprint.latent_stage();
        let mut log_variance = None;
        let (latent, taps) = self.encoder.layers.forward(input, &[], |index, features| {
            if index == last {
                log_variance = self.encoder.log_variance.as_ref().map(|stack| stack.row(features.clone()));
            }
        });
        Encoded { latent, log_variance, taps }
    }

    /// Latents `[n, values]` and taps to the output before its activation, `[n, values]`.
    #[must_use]
    pub fn decode(&self, latent: Tensor<2>, taps: &[Tensor<2>]) -> Tensor<2> {
        self.decoder.forward(latent, &self.taps(taps), |_, _| {}).0
    }

    /// The reconstruction: what [`decode`](Self::decode) gives, after the output's activation.
    #[must_use]
    pub fn reconstruct(&self, latent: Tensor<2>, taps: &[Tensor<2>]) -> Tensor<2> {
        let raw = self.decode(latent, taps);
        match self.blueprint.definition.decoder.activation {
            OutputActivation::Sigmoid => activation::sigmoid(raw),
            OutputActivation::Identity => raw,
        }
    }

    /// Latents `[n, values]` to one logit a class, where there is a classifier.
    #[must_use]
    pub fn classify(&self, latent: Tensor<2>) -> Option<Tensor<2>> {
        self.classifier.as_ref().map(|classifier| classifier.row(latent))
    }

    /// Taps with their names.
    fn taps<'a>(&'a self, taps: &[Tensor<2>]) -> Vec<(&'a str, Tensor<2>)> {
        self.blueprint.taps.iter().map(|tap| tap.name.as_str()).zip(taps.iter().cloned()).collect()
    }
}
