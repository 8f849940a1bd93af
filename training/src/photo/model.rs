//! The photo autoencoder: linear analysis, quantiser, linear synthesis and the residual network beside it.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use super::{spec::Spec, transform::Filters, trunk::Trunk};

/// The binary logarithm of the quantiser's step at quality 1, samples 0 to 255.
pub const COARSEST: f32 = 8.4;
/// The same at quality 100.
pub const FINEST: f32 = 2.0;

/// Both halves: θ is `analysis`, φ the rest.
#[derive(Module, Debug)]
pub struct PhotoModel {
    /// The encoder.
    pub analysis: Filters,
    /// The decoder's linear part.
    pub synthesis: Filters,
    /// The decoder's deep part.
    pub trunk: Trunk,
}

impl PhotoModel {
    /// The lapped transform, its inverse, and a residual network that adds nothing yet.
    #[must_use]
    pub fn new(spec: &Spec, device: &Device) -> Self {
        Self {
            analysis: Filters::lapped(spec, device),
            synthesis: Filters::lapped(spec, device),
            trunk: Trunk::new(spec, device),
        }
    }

    /// Dequantised layers, coarsest first, to a picture `[n, 3, h, w]`, samples −0.5 to 0.5 but not clipped.
    /// `octave` is the binary logarithm of the step on the scale 0 to 255, `[n, 1]`.
    #[must_use]
    pub fn decode(&self, layers: &[Tensor<4>], octave: Tensor<2>, spec: &Spec) -> Tensor<4> {
        let step = step(octave.clone());
        let bands = self.synthesis.unmerge(layers, spec);
        let residual = self.trunk.forward(bands.clone() / step.clone(), condition(octave));
        self.synthesis.synthesise(bands, spec) + residual * step
    }
}

/// The quantiser's step for samples of range 1, `[n, 1, 1, 1]`.
pub(crate) fn step(octave: Tensor<2>) -> Tensor<4> {
    let n = octave.dims()[0];
    ((octave * std::f32::consts::LN_2).exp() / 255.0).reshape([n, 1, 1, 1])
}

/// The octave on a scale of −1 to 1.
pub(crate) fn condition(octave: Tensor<2>) -> Tensor<2> {
    (octave - f32::midpoint(COARSEST, FINEST)) / ((COARSEST - FINEST) / 2.0)
}
