use serde::{Deserialize, Serialize};

/// One layer of a definition. Maps are `[channels, height, width]`, series `[length, channels]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// Every value to every unit.
    Dense {
        /// Values out.
        units: usize,
        /// What follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// A convolution, padded so that each side of the map is divided by the stride and rounded up.
    Conv {
        /// Channels out.
        channels: usize,
        /// The side of its filters.
        kernel: usize,
        /// Its step.
        #[serde(default = "one")]
        stride: usize,
        /// What follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// A transposed convolution, cropped so that each side of the map is multiplied by the stride.
    ConvTranspose {
        /// Channels out.
        channels: usize,
        /// The side of its filters.
        kernel: usize,
        /// Its step.
        stride: usize,
        /// What follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// A convolution to `channels · factor²`, whose values become blocks of pixels (W. Shi et al., "Real-time single
    /// image and video super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016, eq. 4).
    SubPixel {
        /// Channels out.
        channels: usize,
        /// How many times as high and wide the map becomes.
        factor: usize,
        /// The side of the filters.
        kernel: usize,
        /// What follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// x + f(x) (K. He et al., "Deep residual learning for image recognition", CVPR 2016, eq. 1).
    Residual {
        /// Blocks, one after the other.
        #[serde(default = "one")]
        repeat: usize,
        /// f.
        layers: Vec<Layer>,
    },
    /// Everything in one row.
    Flatten {},
    /// A row as a map.
    Reshape {
        /// Channels of the map.
        channels: usize,
        /// Its height.
        height: usize,
        /// Its width.
        width: usize,
    },
    /// Gated recurrent units; the last state of the last layer.
    Gru {
        /// Values of the state.
        units: usize,
        /// Layers on top of each other.
        #[serde(default = "one")]
        layers: usize,
    },
    /// Long short-term memory; the last state of the last layer.
    Lstm {
        /// Values of the state.
        units: usize,
        /// Layers on top of each other.
        #[serde(default = "one")]
        layers: usize,
    },
    /// A 1×1 convolution off the main path, whose result is sent beside the latent as an enhancement layer. The main
    /// path goes on as if it were not there.
    Tap {
        /// Its name.
        name: String,
        /// Channels sent.
        channels: usize,
    },
    /// A tap's channels behind the decoder's own.
    Join {
        /// The tap's name.
        tap: String,
    },
}

/// An elementwise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x·Φ(x), Φ by the error function (Hendrycks and Gimpel, arXiv:1606.08415, eq. 1).
    Gelu,
    /// 1 / (1 + e^(−x)).
    Sigmoid,
    /// tanh x.
    Tanh,
}

fn one() -> usize {
    1
}

impl Layer {
    /// Its name in a definition.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "dense",
            Self::Conv { .. } => "conv",
            Self::ConvTranspose { .. } => "conv-transpose",
            Self::SubPixel { .. } => "sub-pixel",
            Self::Residual { .. } => "residual",
            Self::Flatten {} => "flatten",
            Self::Reshape { .. } => "reshape",
            Self::Gru { .. } => "gru",
            Self::Lstm { .. } => "lstm",
            Self::Tap { .. } => "tap",
            Self::Join { .. } => "join",
        }
    }
}

impl Activation {
    /// Its name in a definition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }
}
