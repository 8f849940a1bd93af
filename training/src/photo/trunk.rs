//! The deep part of the decoder: a residual network at 1/8 resolution.
//!
//! It works in units of the quantiser's step, in and out: what rounding took away is of that size whatever the
//! quality, so one network serves all of them. The quality itself scales and shifts the channels inside every
//! block (E. Perez et al., "`FiLM`: visual reasoning with a general conditioning layer", AAAI 2018, eq. 1).

use burn::{
    module::{Initializer, Module},
    nn::{
        Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation},
};

use super::spec::{STRIDE, Spec};

/// Where large coefficients are bent towards ±[`KNEE`], in steps; small ones pass as they are.
pub(crate) const KNEE: f32 = 8.0;
/// Values that describe the quality to a block.
const CONDITION: usize = 16;

/// The residual network.
#[derive(Module, Debug)]
pub struct Trunk {
    /// Bands to features.
    pub head: Conv2d,
    /// The residual blocks.
    pub blocks: Vec<Block>,
    /// Features to 8×8 pixels of three colours.
    pub tail: Conv2d,
    /// The quality to its description.
    pub condition: [Linear; 2],
}

/// x + conv(relu(scale · conv(x) + shift)), scale and shift by the quality.
#[derive(Module, Debug)]
pub struct Block {
    /// The convolution before the ReLU.
    pub first: Conv2d,
    /// The convolution after it, zero at the start, so that a fresh network adds nothing.
    pub second: Conv2d,
    /// The description to scale − 1 and shift.
    pub film: Linear,
}

impl Trunk {
    /// A fresh network, whose output is zero.
    #[must_use]
    pub fn new(spec: &Spec, device: &Device) -> Self {
        let outputs = 3 * STRIDE * STRIDE;
        Self {
            head: conv3(spec.channels(0), spec.width, device),
            blocks: (0..spec.blocks).map(|_| Block::new(spec.width, device)).collect(),
            tail: zero_conv3(spec.width, outputs, device),
            condition: [(1, CONDITION), (CONDITION, CONDITION)]
                .map(|(i, o)| LinearConfig::new(i, o).init(device)),
        }
    }

    /// Bands in steps `[n, c, h/8, w/8]` and conditions `[n, 1]` (about −1 to 1) to what is to be added to the
    /// picture, in steps, `[n, 3, h, w]`.
    #[must_use]
    pub fn forward(&self, bands: Tensor<4>, quality: Tensor<2>) -> Tensor<4> {
        let condition = self.condition.iter().fold(quality, |x, layer| activation::relu(layer.forward(x)));
        let bent = bands.clone() / (bands.abs() / KNEE + 1.0);
        let features =
            self.blocks.iter().fold(self.head.forward(bent), |x, block| block.forward(x, &condition));
        to_pixels(self.tail.forward(features))
    }
}

impl Block {
    fn new(width: usize, device: &Device) -> Self {
        let film = LinearConfig::new(CONDITION, 2 * width).with_initializer(Initializer::Zeros);
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

/// `[n, c·64, h, w]` to `[n, c, 8·h, 8·w]`: channel c·64 + 8·y + x is pixel (y, x) of its block (W. Shi et al.,
/// "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network",
/// CVPR 2016, eq. 4).
fn to_pixels(x: Tensor<4>) -> Tensor<4> {
    let [n, channels, h, w] = x.dims();
    let colours = channels / (STRIDE * STRIDE);
    x.reshape([n, colours, STRIDE, STRIDE, h, w]).permute([0, 1, 4, 2, 5, 3]).reshape([
        n,
        colours,
        h * STRIDE,
        w * STRIDE,
    ])
}

fn conv3(inputs: usize, outputs: usize, device: &Device) -> Conv2d {
    config(inputs, outputs).init(device)
}

fn zero_conv3(inputs: usize, outputs: usize, device: &Device) -> Conv2d {
    config(inputs, outputs).with_initializer(Initializer::Zeros).init(device)
}

fn config(inputs: usize, outputs: usize) -> Conv2dConfig {
    Conv2dConfig::new([inputs, outputs], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
}
