//! The dense asymmetric autoencoder.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, activation},
};

/// Linear layers with ReLU between them, none after the last.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The layers, input first.
    pub layers: Vec<Linear>,
}

impl Mlp {
    /// Layers between these widths, weights drawn uniformly by Kaiming's rule (the device's seed decides).
    #[must_use]
    pub fn new(widths: &[usize], device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self { layers: widths.windows(2).map(layer).collect() }
    }

    /// `[n, first width]` to `[n, last width]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(input, |x, (i, layer)| {
            let x = layer.forward(x);
            if i < last { activation::relu(x) } else { x }
        })
    }
}

/// Encoder and decoder, two separate sets of parameters: θ and φ.
#[derive(Module, Debug)]
pub struct Autoencoder {
    /// z = f(x; θ).
    pub encoder: Mlp,
    /// x̂ = sigmoid(g(z; φ)); the sigmoid is not part of it, so that the loss can work on logits.
    pub decoder: Mlp,
}

impl Autoencoder {
    /// An autoencoder of these widths.
    #[must_use]
    pub fn new(encoder: &[usize], decoder: &[usize], device: &Device) -> Self {
        Self { encoder: Mlp::new(encoder, device), decoder: Mlp::new(decoder, device) }
    }

    /// The logits of the reconstruction.
    #[must_use]
    pub fn logits(&self, input: Tensor<2>) -> Tensor<2> {
        self.decoder.forward(self.encoder.forward(input))
    }
}
