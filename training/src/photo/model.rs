//! The photo autoencoder: linear analysis, quantiser, linear synthesis and a residual network in parallel to
//! it.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use super::{
    double, rates::RateModel, residual_network::ResidualNetwork, spec::PhotoSpec, transform::LinearFilters,
};

/// Binary logarithm of the quantisation step at quality 1, for samples 0 to 255.
pub const COARSEST_OCTAVE: f32 = 8.4;
/// Binary logarithm of the quantisation step at quality 100, for samples 0 to 255.
pub const FINEST_OCTAVE: f32 = 2.0;

/// Both halves of the autoencoder: θ is `analysis` and `gains`, φ is `synthesis` and `trunk`; `rates` is only
/// used to train them.
#[derive(Module, Debug)]
pub struct PhotoModel {
    /// The encoder's filters.
    pub analysis: LinearFilters,
    /// Binary logarithms of the quantiser's gains, one list per layer, coarsest first.
    pub gains: Vec<Param<Tensor<1>>>,
    /// The decoder's linear part.
    pub synthesis: LinearFilters,
    /// The decoder's residual network.
    pub trunk: ResidualNetwork,
    /// The bit rate estimate.
    pub rates: RateModel,
}

impl PhotoModel {
    /// Returns a model with the lapped transform, its inverse, and a residual network whose output is zero.
    #[must_use]
    pub fn new(spec: &PhotoSpec, device: &Device) -> Self {
        Self {
            analysis: LinearFilters::lapped(spec, device),
            gains: (0..spec.levels())
                .rev()
                .map(|level| Param::from_tensor(Tensor::zeros([spec.layer_channels(level)], device)))
                .collect(),
            synthesis: LinearFilters::lapped(spec, device),
            trunk: ResidualNetwork::new(spec, device),
            rates: RateModel::new(spec, device),
        }
    }

    /// Returns a model with the same latent space and a decoder of another shape, which keeps the parts of
    /// this residual network that fit.
    #[must_use]
    pub fn with_decoder_shape(self, spec: &PhotoSpec, device: &Device) -> Self {
        Self { trunk: self.trunk.with_shape(spec, device), ..self }
    }

    /// Returns the layers of an image `[n, 3, h, w]`, coarsest first, in quantisation steps but not yet
    /// rounded. `octave` is the binary logarithm of the step for samples 0 to 255, `[n, 1]`.
    #[must_use]
    pub fn scaled_layers(&self, image: Tensor<4>, octave: &Tensor<2>, spec: &PhotoSpec) -> Vec<Tensor<4>> {
        let layers = self.analysis.analyse(image, spec).into_iter();
        layers.zip(self.layer_steps(octave)).map(|(layer, steps)| layer / steps).collect()
    }

    /// Dequantises `integers`, the rounded layers of [`scaled_layers`](Self::scaled_layers).
    #[must_use]
    pub fn dequantise(&self, integers: &[Tensor<4>], octave: &Tensor<2>) -> Vec<Tensor<4>> {
        integers.iter().zip(self.layer_steps(octave)).map(|(layer, steps)| layer.clone() * steps).collect()
    }

    /// Decodes dequantised layers, coarsest first, to the two parts of the image, both
    /// `[n, 3, scale·h, scale·w]`: the linear part, and the correction of the residual network in
    /// quantisation steps.
    #[must_use]
    pub fn decode_parts(&self, layers: &[Tensor<4>], octave: Tensor<2>, spec: &PhotoSpec) -> [Tensor<4>; 2] {
        let bands = self.synthesis.unmerge(layers, spec);
        let residual =
            self.trunk.forward(bands.clone() / quantisation_step(octave.clone()), condition_of(octave));
        let linear = self.synthesis.synthesise(bands, spec);
        [if spec.scale == 1 { linear } else { double::double_images(linear) }, residual]
    }

    /// Decodes dequantised layers to an image `[n, 3, scale·h, scale·w]`, samples −0.5 to 0.5 but not
    /// clipped.
    #[must_use]
    pub fn decode(&self, layers: &[Tensor<4>], octave: Tensor<2>, spec: &PhotoSpec) -> Tensor<4> {
        let [linear, residual] = self.decode_parts(layers, octave.clone(), spec);
        linear + residual * quantisation_step(octave)
    }

    /// Returns the quantisation steps of each layer's channels, `[n, c, 1, 1]`.
    fn layer_steps(&self, octave: &Tensor<2>) -> Vec<Tensor<4>> {
        self.gains
            .iter()
            .map(|gains| {
                let channels = gains.dims()[0];
                quantisation_step(octave.clone())
                    * (gains.val() * -std::f32::consts::LN_2).exp().reshape([1, channels, 1, 1])
            })
            .collect()
    }
}

/// Returns the quantisation step for samples of range 1, `[n, 1, 1, 1]`.
pub(crate) fn quantisation_step(octave: Tensor<2>) -> Tensor<4> {
    let n = octave.dims()[0];
    ((octave * std::f32::consts::LN_2).exp() / 255.0).reshape([n, 1, 1, 1])
}

/// Maps the octave to a scale from −1 (quality 100) to 1 (quality 1).
pub(crate) fn condition_of(octave: Tensor<2>) -> Tensor<2> {
    (octave - f32::midpoint(COARSEST_OCTAVE, FINEST_OCTAVE)) / ((COARSEST_OCTAVE - FINEST_OCTAVE) / 2.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn a_decoder_of_twice_the_size_starts_as_an_enlargement() {
        let device = Device::flex();
        let spec = PhotoSpec { luma: 64, chroma: 16, merges: vec![6, 4], width: 4, blocks: 2, scale: 1 };
        let mut model = PhotoModel::new(&spec, &device);
        let noise =
            |tensor: Tensor<4>| Tensor::random(tensor.dims(), Distribution::Normal(0.0, 0.1), &device);
        model.trunk.tail.weight = Param::from_tensor(noise(model.trunk.tail.weight.val()));
        let image = noise(Tensor::zeros([1, 3, 64, 96], &device));
        let octave = || Tensor::full([1, 1], 4.0, &device);
        let layers = model.dequantise(&model.scaled_layers(image, &octave(), &spec), &octave());
        let expected = double::double_images(model.decode(&layers, octave(), &spec));
        let large = PhotoSpec { scale: 2, ..spec.clone() };
        let found = model.clone().with_decoder_shape(&large, &device).decode(&layers, octave(), &large);
        assert_eq!(found.dims(), [1, 3, 128, 192]);
        assert!((found - expected).abs().max().into_scalar::<f32>() < 1e-5);
        // Parts that do not fit are fresh, and the output of a fresh residual network is zero.
        let wider = PhotoSpec { width: 6, ..large };
        let fresh = model.with_decoder_shape(&wider, &device).decode_parts(&layers, octave(), &wider);
        assert!(fresh[1].clone().abs().max().into_scalar::<f32>() <= 0.0);
    }
}
