//! A checked definition: every layer with the shapes that go in and come out.

use super::{Activation, Definition, Shape};

/// A definition whose shapes are all known.
#[derive(Debug, Clone, PartialEq)]
pub struct Blueprint {
    /// What it was made from.
    pub definition: Definition,
    /// What the encoder takes: the input's shape, or its values in one row where the encoder begins with `flatten`.
    pub input: Shape,
    /// What the encoder gives.
    pub latent: Shape,
    /// What the decoder gives: the output's shape, or its values in one row.
    pub output: Shape,
    /// The enhancement layers, in the encoder's order.
    pub taps: Vec<Tap>,
    /// The encoder, a leading `flatten` left out.
    pub encoder: Vec<Stage>,
    /// The decoder.
    pub decoder: Vec<Stage>,
    /// The classifier; empty where there is none.
    pub classifier: Vec<Stage>,
}

/// An enhancement layer of the latent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Its name.
    pub name: String,
    /// Its shape, a map.
    pub shape: Shape,
}

/// A layer in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Where it stands in the definition, such as `encoder.layers[2]`.
    pub place: String,
    /// What it does.
    pub operation: Operation,
    /// What follows.
    pub activation: Option<Activation>,
    /// What goes in.
    pub input: Shape,
    /// What comes out; of a tap, what is sent.
    pub output: Shape,
}

/// What a layer does. Channels and units are those of the stage's shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Every value to every unit.
    Dense,
    /// A convolution.
    Conv {
        /// The side of its filters.
        kernel: usize,
        /// Its step.
        stride: usize,
    },
    /// A transposed convolution.
    ConvTranspose {
        /// The side of its filters.
        kernel: usize,
        /// Its step.
        stride: usize,
    },
    /// A convolution whose values become blocks of pixels.
    SubPixel {
        /// The side of its filters.
        kernel: usize,
        /// The side of a block.
        factor: usize,
    },
    /// x + f(x), block after block.
    Residual(Vec<Vec<Stage>>),
    /// Everything in one row.
    Flatten,
    /// A row as a map.
    Reshape,
    /// The last state of recurrent layers.
    Recurrent {
        /// Of which kind.
        cell: Cell,
        /// How many on top of each other.
        layers: usize,
    },
    /// An enhancement layer off the main path.
    Tap(String),
    /// An enhancement layer behind the main path's channels.
    Join(String),
}

/// Kinds of recurrent layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Gated recurrent units.
    Gru,
    /// Long short-term memory.
    Lstm,
}

impl Cell {
    /// Matrices a layer has of each sort.
    #[must_use]
    pub const fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// Its name in a definition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gru => "gru",
            Self::Lstm => "lstm",
        }
    }
}

impl Blueprint {
    /// Whether a tap is sent beside the latent.
    #[must_use]
    pub fn has_taps(&self) -> bool {
        !self.taps.is_empty()
    }

    /// The stage whose result is the latent: the last on the encoder's main path.
    #[must_use]
    pub fn latent_stage(&self) -> usize {
        self.encoder.iter().rposition(|stage| !stage.is_tap()).unwrap_or(0)
    }
}

impl Stage {
    /// What the next stage sees.
    #[must_use]
    pub const fn next(&self) -> Shape {
        if self.is_tap() { self.input } else { self.output }
    }

    /// Whether it is off the main path.
    #[must_use]
    pub const fn is_tap(&self) -> bool {
        matches!(self.operation, Operation::Tap(_))
    }

    /// Layers with weights, one after the other.
    #[must_use]
    pub fn depth(&self) -> usize {
        match &self.operation {
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::depth).sum(),
            Operation::Flatten | Operation::Reshape | Operation::Tap(_) | Operation::Join(_) => 0,
            Operation::Recurrent { layers, .. } => *layers,
            _ => 1,
        }
    }

    /// The most units or channels that come out of one of its layers.
    #[must_use]
    pub fn widest(&self) -> usize {
        match &self.operation {
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::widest).max().unwrap_or(0),
            _ if self.depth() > 0 => self.output.width(),
            _ => 0,
        }
    }

    /// Weights and biases.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let (from, to) = (self.input.width() as u64, self.output.width() as u64);
        match &self.operation {
            Operation::Dense | Operation::Tap(_) => from * to + to,
            Operation::Conv { kernel, .. } | Operation::ConvTranspose { kernel, .. } => {
                area(*kernel) * from * to + to
            }
            Operation::SubPixel { kernel, factor } => (area(*kernel) * from + 1) * to * area(*factor),
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::parameters).sum(),
            Operation::Recurrent { cell, layers } => {
                let biases = 2 * (cell.gates() * layers) as u64 * to;
                self.recurrent_weights(*cell, *layers) + biases
            }
            Operation::Flatten | Operation::Reshape | Operation::Join(_) => 0,
        }
    }

    /// Multiply-accumulates of one sample, counted as [`lopside_onnx::cost`] does.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let (from, to) = (self.input.width() as u64, self.output.width() as u64);
        let (inputs, outputs) = (self.input.values() as u64, self.output.values() as u64);
        match &self.operation {
            Operation::Dense => from * to,
            Operation::Conv { kernel, .. } | Operation::SubPixel { kernel, .. } => {
                outputs * from * area(*kernel)
            }
            Operation::ConvTranspose { kernel, .. } => inputs * to * area(*kernel),
            Operation::Tap(_) => outputs * from,
            Operation::Residual(blocks) => blocks.iter().flatten().map(Self::macs).sum(),
            Operation::Recurrent { cell, layers } => {
                self.input.dims()[0] as u64 * self.recurrent_weights(*cell, *layers)
            }
            Operation::Flatten | Operation::Reshape | Operation::Join(_) => 0,
        }
    }

    fn recurrent_weights(&self, cell: Cell, layers: usize) -> u64 {
        let (from, units) = (self.input.width() as u64, self.output.width() as u64);
        let above = (layers as u64 - 1) * 2 * units;
        cell.gates() as u64 * units * (from + units + above)
    }

    /// What it is, in the words of a definition, such as `conv 3×3, stride 2, relu`.
    #[must_use]
    pub fn label(&self) -> String {
        let strided = |name: &str, kernel: usize, stride: usize| match stride {
            1 => format!("{name} {kernel}×{kernel}"),
            _ => format!("{name} {kernel}×{kernel}, stride {stride}"),
        };
        let mut label = match &self.operation {
            Operation::Dense => "dense".to_owned(),
            Operation::Conv { kernel, stride } => strided("conv", *kernel, *stride),
            Operation::ConvTranspose { kernel, stride } => strided("conv-transpose", *kernel, *stride),
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

fn area(side: usize) -> u64 {
    (side * side) as u64
}
