//! The residual network of the decoder, at 1/8 resolution.
//!
//! Input and output are in quantisation steps: rounding errors have that magnitude at every quality, so one
//! network serves all qualities. The quality itself scales and shifts the channels inside every block (E.
//! Perez et al., "`FiLM`: visual reasoning with a general conditioning layer", AAAI 2018, eq. 1).

use burn::{
    module::{Initializer, Module},
    nn::{
        Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation},
};

use super::{
    double,
    pixel_shuffle::to_pixels,
    spec::{PhotoSpec, STRIDE},
};

/// Limit of the soft clipping of coefficients, in steps: large ones are compressed towards ±[`SOFT_CLIP_STEPS`], small
/// ones hardly change.
pub(crate) const SOFT_CLIP_STEPS: f32 = 8.0;
/// Number of values that describe the quality to a block.
const CONDITION_SIZE: usize = 16;

/// The residual network.
#[derive(Module, Debug)]
pub struct ResidualNetwork {
    /// The convolution from bands to features.
    pub head: Conv2d,
    /// The residual blocks.
    pub blocks: Vec<ResidualBlock>,
    /// The convolution from features to 8×8 pixels of three colours.
    pub tail: Conv2d,
    /// The detail of an image of twice the size; `None` at scale 1.
    pub detail: Option<DetailBranch>,
    /// The layers that turn the quality into its description.
    pub condition: [Linear; 2],
}

/// The detail branch: half as many features at 1/4 resolution, each of whose cells becomes 8×8 pixels of an
/// image of twice the size.
#[derive(Module, Debug)]
pub struct DetailBranch {
    /// The convolution from a cell's features to those of its four quarters.
    pub quarters: Conv2d,
    /// The convolution from these to pixels, zero at the start.
    pub tail: Conv2d,
}

/// A residual block: x + conv(relu(scale · conv(x) + shift)), where scale and shift depend on the quality.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// The convolution before the ReLU.
    pub first: Conv2d,
    /// The convolution after the ReLU, zero at the start, so that a fresh network does not change the image.
    pub second: Conv2d,
    /// The layer from the description to scale − 1 and shift.
    pub film: Linear,
}

impl ResidualNetwork {
    /// Returns a fresh network, whose output is zero.
    #[must_use]
    pub fn new(spec: &PhotoSpec, device: &Device) -> Self {
        Self {
            head: conv3(spec.channels(0), spec.width, device),
            blocks: (0..spec.blocks).map(|_| ResidualBlock::new(spec.width, device)).collect(),
            tail: zero_conv3(spec.width, 3 * STRIDE * STRIDE, device),
            detail: (spec.scale > 1).then(|| DetailBranch::new(spec.width, device)),
            condition: [(1, CONDITION_SIZE), (CONDITION_SIZE, CONDITION_SIZE)]
                .map(|(i, o)| LinearConfig::new(i, o).init(device)),
        }
    }

    /// Returns a network of another shape that keeps the parts of this one that fit: at the same width,
    /// everything except surplus blocks. The rest is fresh.
    #[must_use]
    pub fn with_shape(self, spec: &PhotoSpec, device: &Device) -> Self {
        let fresh = Self::new(spec, device);
        if self.head.weight.dims() != fresh.head.weight.dims() {
            return fresh;
        }
        let added_blocks = fresh.blocks.into_iter().skip(self.blocks.len());
        Self {
            blocks: self.blocks.into_iter().chain(added_blocks).take(spec.blocks).collect(),
            detail: fresh.detail.map(|fresh| self.detail.unwrap_or(fresh)),
            ..self
        }
    }

    /// Returns the correction to the image in steps, `[n, 3, scale·h, scale·w]`, for bands in steps
    /// `[n, c, h/8, w/8]` and qualities `[n, 1]` (about −1 to 1).
    #[must_use]
    pub fn forward(&self, bands: Tensor<4>, quality: Tensor<2>) -> Tensor<4> {
        let condition = self.condition.iter().fold(quality, |x, layer| activation::relu(layer.forward(x)));
        let clipped = bands.clone() / (bands.abs() / SOFT_CLIP_STEPS + 1.0);
        let features =
            self.blocks.iter().fold(self.head.forward(clipped), |x, block| block.forward(x, &condition));
        let residual = to_pixels(self.tail.forward(features.clone()), 3);
        match &self.detail {
            Some(detail) => double::double_images(residual) + detail.forward(features),
            None => residual,
        }
    }
}

impl DetailBranch {
    fn new(width: usize, device: &Device) -> Self {
        let half = width.div_ceil(2);
        Self {
            quarters: Conv2dConfig::new([width, 4 * half], [1, 1]).init(device),
            tail: zero_conv3(half, 3 * STRIDE * STRIDE, device),
        }
    }

    fn forward(&self, features: Tensor<4>) -> Tensor<4> {
        let channels = self.tail.weight.dims()[1];
        let quarters = to_pixels(self.quarters.forward(features), channels);
        to_pixels(self.tail.forward(activation::relu(quarters)), 3)
    }
}

impl ResidualBlock {
    fn new(width: usize, device: &Device) -> Self {
        let film = LinearConfig::new(CONDITION_SIZE, 2 * width).with_initializer(Initializer::Zeros);
        Self {
            first: conv3(width, width, device),
            second: zero_conv3(width, width, device),
            film: film.init(device),
        }
    }

    fn forward(&self, x: Tensor<4>, condition: &Tensor<2>) -> Tensor<4> {
        let [n, width, ..] = x.dims();
        let film = self.film.forward(condition.clone()).reshape([n, 2 * width, 1, 1]);
        let (scale, shift) = (film.clone().narrow(1, 0, width) + 1.0, film.narrow(1, width, width));
        x.clone() + self.second.forward(activation::relu(self.first.forward(x) * scale + shift))
    }
}

fn conv3(inputs: usize, outputs: usize, device: &Device) -> Conv2d {
    conv3_config(inputs, outputs).init(device)
}

fn zero_conv3(inputs: usize, outputs: usize, device: &Device) -> Conv2d {
    conv3_config(inputs, outputs).with_initializer(Initializer::Zeros).init(device)
}

fn conv3_config(inputs: usize, outputs: usize) -> Conv2dConfig {
    Conv2dConfig::new([inputs, outputs], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
}
