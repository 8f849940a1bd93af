//! The checked form of a definition: every layer with its input and output shapes.

use super::{Activation, Definition, Shape};

/// A definition with all shapes resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Blueprint {
    /// The definition that the blueprint was made from.
    pub definition: Definition,
    /// The encoder's input: the shape of the input signal, or its values in one row if the encoder begins
    /// with `flatten`.
    pub input: Shape,
    /// The encoder's output, without taps.
    pub latent: Shape,
    /// The decoder's output: the shape of the output signal, or its values in one row.
    pub output: Shape,
    /// The enhancement layers, in the encoder's order.
    pub taps: Vec<Tap>,
    /// The encoder, without a leading `flatten`.
    pub encoder: Vec<Stage>,
    /// The decoder.
    pub decoder: Vec<Stage>,
    /// The classifier; empty if the model does not have one.
    pub classifier: Vec<Stage>,
}

/// An enhancement layer of the latent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// The name of the layer.
    pub name: String,
    /// The shape of the layer, a feature map.
    pub shape: Shape,
}

/// A layer of a blueprint, with its shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Path of the layer in the definition, such as `encoder.layers[2]`.
    pub path: String,
    /// The operation that the layer performs.
    pub operation: Operation,
    /// The activation after the operation; `None` is linear.
    pub activation: Option<Activation>,
    /// The input shape.
    pub input: Shape,
    /// The output shape; for a tap, the shape of the transmitted layer.
    pub output: Shape,
}

/// The operation of a layer. Channels and units are those of the stage's shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A fully connected layer.
    Dense,
    /// A convolution.
    Conv {
        /// Side of the filters, in pixels.
        kernel: usize,
        /// Stride, in pixels.
        stride: usize,
    },
    /// A transposed convolution.
    ConvTranspose {
        /// Side of the filters, in pixels.
        kernel: usize,
        /// Stride, in pixels.
        stride: usize,
    },
    /// A convolution followed by a rearrangement of channels into blocks of pixels.
    SubPixel {
        /// Side of the filters, in pixels.
        kernel: usize,
        /// Side of a block, in pixels.
        factor: usize,
    },
    /// Residual blocks x + f(x), one after the other.
    Residual(Vec<Vec<Stage>>),
    /// Flattens a map or series into one row.
    Flatten,
    /// Reshapes a row into a map.
    Reshape,
    /// Recurrent layers; the output is the last state of the last layer.
    Recurrent {
        /// Kind of the recurrent layers.
        cell: RecurrentCell,
        /// Number of stacked layers.
        layers: usize,
    },
    /// Sends an enhancement layer of this name, off the main path.
    Tap(String),
    /// Appends the channels of the enhancement layer of this name to those of the main path.
    Join(String),
}

/// Kind of a recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecurrentCell {
    /// Gated recurrent unit.
    Gru,
    /// Long short-term memory.
    Lstm,
}

impl RecurrentCell {
    /// Returns the number of gates per layer; each has an input matrix and a hidden matrix.
    #[must_use]
    pub const fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// Returns the name used in definitions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gru => "gru",
            Self::Lstm => "lstm",
        }
    }
}

impl Blueprint {
    /// Returns whether enhancement layers are sent along with the latent.
    #[must_use]
    pub fn has_taps(&self) -> bool {
        !self.taps.is_empty()
    }

    /// Returns the index of the stage that computes the latent: the last one on the encoder's main path.
    #[must_use]
    pub fn latent_stage(&self) -> usize {
        self.encoder.iter().rposition(|stage| !stage.is_tap()).unwrap_or(0)
    }
}

impl Stage {
    /// Returns the input shape of the next stage.
    #[must_use]
    pub const fn next_input(&self) -> Shape {
        if self.is_tap() { self.input } else { self.output }
    }

    /// Returns whether the stage is a tap, off the main path.
    #[must_use]
    pub const fn is_tap(&self) -> bool {
        matches!(self.operation, Operation::Tap(_))
    }

    /// Returns the number of layers with weights on the main path.
    #[must_use]
    pub fn depth(&self) -> usize {
        match &self.operation {
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::depth).sum(),
            Operation::Flatten | Operation::Reshape | Operation::Tap(_) | Operation::Join(_) => 0,
            Operation::Recurrent { layers, .. } => *layers,
            _ => 1,
        }
    }

    /// Returns the largest number of units or channels that one of its layers computes; 0 without weights.
    #[must_use]
    pub fn max_width(&self) -> usize {
        match &self.operation {
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::max_width).max().unwrap_or(0),
            _ if self.depth() > 0 => self.output.width(),
            _ => 0,
        }
    }

    /// Returns the number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let (input_width, output_width) = (self.input.width() as u64, self.output.width() as u64);
        match &self.operation {
            Operation::Dense | Operation::Tap(_) => input_width * output_width + output_width,
            Operation::Conv { kernel, .. } | Operation::ConvTranspose { kernel, .. } => {
                filter_area(*kernel) * input_width * output_width + output_width
            }
            Operation::SubPixel { kernel, factor } => {
                (filter_area(*kernel) * input_width + 1) * output_width * filter_area(*factor)
            }
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::parameters).sum(),
            Operation::Recurrent { cell, layers } => {
                let biases = 2 * (cell.gates() * layers) as u64 * output_width;
                self.recurrent_weights(*cell, *layers) + biases
            }
            Operation::Flatten | Operation::Reshape | Operation::Join(_) => 0,
        }
    }

    /// Returns the multiply-accumulates per sample, counted as in [`lopside_onnx::model_cost`].
    #[must_use]
    pub fn macs(&self) -> u64 {
        let (input_width, output_width) = (self.input.width() as u64, self.output.width() as u64);
        let (inputs, outputs) = (self.input.values() as u64, self.output.values() as u64);
        match &self.operation {
            Operation::Dense => input_width * output_width,
            Operation::Conv { kernel, .. } | Operation::SubPixel { kernel, .. } => {
                outputs * input_width * filter_area(*kernel)
            }
            Operation::ConvTranspose { kernel, .. } => inputs * output_width * filter_area(*kernel),
            Operation::Tap(_) => outputs * input_width,
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::macs).sum(),
            Operation::Recurrent { cell, layers } => {
                self.input.dims()[0] as u64 * self.recurrent_weights(*cell, *layers)
            }
            Operation::Flatten | Operation::Reshape | Operation::Join(_) => 0,
        }
    }

    fn recurrent_weights(&self, cell: RecurrentCell, layers: usize) -> u64 {
        let (input_width, units) = (self.input.width() as u64, self.output.width() as u64);
        let upper_layers = (layers as u64 - 1) * 2 * units;
        cell.gates() as u64 * units * (input_width + units + upper_layers)
    }

    /// Describes the stage in the terms of a definition, such as `conv 3×3, stride 2, relu`.
    #[must_use]
    pub fn label(&self) -> String {
        let mut label = match &self.operation {
            Operation::Dense => "dense".to_owned(),
            Operation::Conv { kernel, stride } => conv_label("conv", *kernel, *stride),
            Operation::ConvTranspose { kernel, stride } => conv_label("conv-transpose", *kernel, *stride),
            Operation::SubPixel { kernel, factor } => format!("sub-pixel {kernel}×{kernel}, ×{factor}"),
            Operation::Residual(blocks) => format!("residual ×{}", blocks.len()),
            Operation::Flatten => "flatten".to_owned(),
            Operation::Reshape => "reshape".to_owned(),
            Operation::Recurrent { cell, layers: 1 } => cell.name().to_owned(),
            Operation::Recurrent { cell, layers } => format!("{} ×{layers}", cell.name()),
            Operation::Tap(name) => format!("tap {name}"),
            Operation::Join(tap) => format!("join {tap}"),
        };
        if let Some(activation) = self.activation {
            label += ", ";
            label += activation.name();
        }
        label
    }
}

fn conv_label(name: &str, kernel: usize, stride: usize) -> String {
    match stride {
        1 => format!("{name} {kernel}×{kernel}"),
        _ => format!("{name} {kernel}×{kernel}, stride {stride}"),
    }
}

fn filter_area(side: usize) -> u64 {
    (side * side) as u64
}
