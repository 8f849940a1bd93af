//! Sequences of layers.

use burn::{
    module::Module,
    nn::{
        Gru, GruConfig, Linear, LinearConfig, Lstm, LstmConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig},
    },
    tensor::{Device, Tensor, activation},
};

use super::window::{same_padding, transposed_crop};
use crate::definition::{Activation, Operation, RecurrentCell, Shape, Stage};

/// The layers of one part of a model.
#[derive(Module, Debug)]
pub struct Stack {
    /// The weights per layer; `None` for layers that only rearrange values.
    weights: Vec<Option<Weights>>,
    #[module(skip)]
    stages: Vec<Stage>,
}

/// The weights of one layer.
#[derive(Module, Debug)]
pub(super) enum Weights {
    Dense(Linear),
    /// Weights of a convolution, of a sub-pixel convolution before the rearrangement of its pixels, or of a
    /// tap.
    Conv(Conv2d),
    ConvTranspose(ConvTranspose2d),
    Residual(Vec<Stack>),
    Gru(Vec<Gru>),
    Lstm(Vec<Lstm>),
}

impl Stack {
    /// Creates the layers with random weights.
    pub(super) fn new(stages: &[Stage], device: &Device) -> Self {
        let weights = stages.iter().map(|stage| Weights::new(stage, device)).collect();
        Self { weights, stages: stages.to_vec() }
    }

    /// Returns the layers with their weights.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&Stage, Option<&Weights>)> {
        self.stages.iter().zip(self.weights.iter().map(Option::as_ref))
    }

    /// Runs a stack without taps and joins, from rows to rows.
    pub(super) fn forward_row(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x, &[], |_, _| {}).0
    }

    /// Runs the layers on rows `[n, values]` and returns the output rows and the taps. `tap_inputs` are the taps
    /// available to joins; `observe` is called with the index and the input of each layer.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        tap_inputs: &[(&str, Tensor<2>)],
        mut observe: impl FnMut(usize, &Tensor<2>),
    ) -> (Tensor<2>, Vec<Tensor<2>>) {
        let (mut x, mut taps) = (x, Vec::new());
        for (index, (stage, weights)) in self.layers().enumerate() {
            observe(index, &x);
            if stage.is_tap() {
                taps.push(apply_layer(stage, weights, x.clone(), tap_inputs));
            } else {
                x = apply_layer(stage, weights, x, tap_inputs);
            }
        }
        (x, taps)
    }
}

impl Weights {
    fn new(stage: &Stage, device: &Device) -> Option<Self> {
        let (input_width, output_width) = (stage.input.width(), stage.output.width());
        Some(match &stage.operation {
            Operation::Dense => Self::Dense(LinearConfig::new(input_width, output_width).init(device)),
            Operation::Conv { kernel, stride } => {
                Self::Conv(init_conv(stage.input, output_width, *kernel, *stride, device))
            }
            Operation::SubPixel { kernel, factor } => {
                Self::Conv(init_conv(stage.input, output_width * factor * factor, *kernel, 1, device))
            }
            Operation::Tap(_) => Self::Conv(init_conv(stage.input, output_width, 1, 1, device)),
            Operation::ConvTranspose { kernel, stride } => {
                let [before, after] = transposed_crop(*kernel, *stride);
                Self::ConvTranspose(
                    ConvTranspose2dConfig::new([input_width, output_width], [*kernel; 2])
                        .with_stride([*stride; 2])
                        .with_padding([before; 2])
                        .with_padding_out([before - after; 2])
                        .init(device),
                )
            }
            Operation::Residual(blocks) => {
                Self::Residual(blocks.iter().map(|block| Stack::new(block, device)).collect())
            }
            Operation::Recurrent { cell, layers } => {
                let widths = (0..*layers).map(|layer| if layer == 0 { input_width } else { output_width });
                match cell {
                    // The reset gate is applied before the product: tract's fused operator for the other
                    // order fails on series with one channel.
                    RecurrentCell::Gru => Self::Gru(
                        widths
                            .map(|d| {
                                GruConfig::new(d, output_width, true).with_reset_after(false).init(device)
                            })
                            .collect(),
                    ),
                    RecurrentCell::Lstm => Self::Lstm(
                        widths.map(|d| LstmConfig::new(d, output_width, true).init(device)).collect(),
                    ),
                }
            }
            Operation::Flatten | Operation::Reshape | Operation::Join(_) => return None,
        })
    }
}

/// Creates a convolution of maps of the shape `input`, padded so that only the stride changes their size.
fn init_conv(input: Shape, channels: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let [height, width] = map_sides(input).map(|side| same_padding(side, kernel, stride));
    Conv2dConfig::new([input.width(), channels], [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Explicit(height[0], width[0], height[1], width[1]))
        .init(device)
}

fn apply_layer(
    stage: &Stage,
    weights: Option<&Weights>,
    x: Tensor<2>,
    tap_inputs: &[(&str, Tensor<2>)],
) -> Tensor<2> {
    let y = match (weights, &stage.operation) {
        (Some(Weights::Dense(linear)), _) => linear.forward(x),
        (Some(Weights::Conv(conv)), Operation::SubPixel { factor, .. }) => {
            row(to_pixels(conv.forward(to_map(x, stage.input)), *factor))
        }
        (Some(Weights::Conv(conv)), _) => row(conv.forward(to_map(x, stage.input))),
        (Some(Weights::ConvTranspose(conv)), _) => row(conv.forward(to_map(x, stage.input))),
        (Some(Weights::Residual(blocks)), _) => {
            blocks.iter().fold(x, |x, block| x.clone() + block.forward_row(x))
        }
        (Some(Weights::Gru(layers)), _) => {
            last_state(layers.iter().fold(to_series(x, stage.input), |x, layer| layer.forward(x, None)))
        }
        (Some(Weights::Lstm(layers)), _) => {
            last_state(layers.iter().fold(to_series(x, stage.input), |x, layer| layer.forward(x, None).0))
        }
        // Channels come first, so a tap's channels follow the others in a flattened row, too.
        (None, Operation::Join(tap)) => {
            let tap = tap_inputs.iter().find(|(name, _)| name == tap).map(|(_, tap)| tap.clone());
            Tensor::cat(std::iter::once(x).chain(tap).collect(), 1)
        }
        // Flattened rows do not carry a shape to change.
        (None, _) => x,
    };
    match stage.activation {
        None => y,
        Some(Activation::Relu) => activation::relu(y),
        Some(Activation::Gelu) => activation::gelu(y),
        Some(Activation::Sigmoid) => activation::sigmoid(y),
        Some(Activation::Tanh) => activation::tanh(y),
    }
}

/// Returns the rows and columns of a map, or 1 and 1 for other shapes.
pub(super) fn map_sides(shape: Shape) -> [usize; 2] {
    match shape {
        Shape::Map { height, width, .. } => [height, width],
        _ => [1, 1],
    }
}

fn to_map(x: Tensor<2>, shape: Shape) -> Tensor<4> {
    let (n, [height, width]) = (x.dims()[0], map_sides(shape));
    x.reshape([n, shape.width(), height, width])
}

fn to_series(x: Tensor<2>, shape: Shape) -> Tensor<3> {
    let [n, values] = x.dims();
    x.reshape([n, values / shape.width(), shape.width()])
}

fn row<const D: usize>(x: Tensor<D>) -> Tensor<2> {
    x.flatten(1, D - 1)
}

/// Returns the last of the states `[n, steps, units]`.
fn last_state(states: Tensor<3>) -> Tensor<2> {
    let [n, steps, units] = states.dims();
    states.narrow(1, steps - 1, 1).reshape([n, units])
}

/// Rearranges `[n, c·f², h, w]` to `[n, c, f·h, f·w]`: channel c·f² + f·y + x is pixel (y, x) of its block.
fn to_pixels(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [n, channels, height, width] = x.dims();
    let channels = channels / (factor * factor);
    x.reshape([n, channels, factor, factor, height, width]).permute([0, 1, 4, 2, 5, 3]).reshape([
        n,
        channels,
        height * factor,
        width * factor,
    ])
}
