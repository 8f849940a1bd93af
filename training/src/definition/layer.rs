use serde::{Deserialize, Serialize};

/// One layer of a definition. Maps have the shape `[channels, height, width]`, time series
/// `[length, channels]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// A fully connected layer.
    Dense {
        /// Number of output values.
        units: usize,
        /// Activation; linear by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// A convolution, padded so that each side of the map is divided by the stride and rounded up.
    Conv {
        /// Number of output channels.
        channels: usize,
        /// Side of the filters, in pixels.
        kernel: usize,
        /// Stride in pixels, 1 by default.
        #[serde(default = "default_one")]
        stride: usize,
        /// Activation; linear by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// A transposed convolution, cropped so that each side of the map is multiplied by the stride.
    ConvTranspose {
        /// Number of output channels.
        channels: usize,
        /// Side of the filters, in pixels.
        kernel: usize,
        /// Stride, in pixels.
        stride: usize,
        /// Activation; linear by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// A convolution to `channels · factor²` channels, which are rearranged into blocks of pixels (W. Shi et
    /// al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    /// neural network", CVPR 2016, eq. 4).
    SubPixel {
        /// Number of output channels.
        channels: usize,
        /// Factor by which width and height of the map grow.
        factor: usize,
        /// Side of the filters, in pixels.
        kernel: usize,
        /// Activation; linear by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// Residual blocks x + f(x) (K. He et al., "Deep residual learning for image recognition", CVPR 2016, eq.
    /// 1).
    Residual {
        /// Number of blocks in sequence, 1 by default.
        #[serde(default = "default_one")]
        repeat: usize,
        /// The layers of f.
        layers: Vec<Layer>,
    },
    /// Flattens a map or series into one row.
    Flatten {},
    /// Reshapes a row into a map.
    Reshape {
        /// Channels of the map.
        channels: usize,
        /// Height of the map.
        height: usize,
        /// Width of the map.
        width: usize,
    },
    /// Gated recurrent units; the output is the last state of the last layer.
    Gru {
        /// Number of values of the state.
        units: usize,
        /// Number of stacked layers, 1 by default.
        #[serde(default = "default_one")]
        layers: usize,
    },
    /// Long short-term memory; the output is the last state of the last layer.
    Lstm {
        /// Number of values of the state.
        units: usize,
        /// Number of stacked layers, 1 by default.
        #[serde(default = "default_one")]
        layers: usize,
    },
    /// A 1×1 convolution off the main path. The result is sent with the latent as an enhancement layer, and
    /// does not affect the main path.
    Tap {
        /// Name of the enhancement layer.
        name: String,
        /// Number of channels to send.
        channels: usize,
    },
    /// Appends a tap's channels to those of the decoder.
    Join {
        /// Name of the tap.
        tap: String,
    },
}

/// An elementwise activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x·Φ(x), with Φ from the error function (Hendrycks and Gimpel, arXiv:1606.08415, eq. 1).
    Gelu,
    /// 1 / (1 + e^(−x)).
    Sigmoid,
    /// tanh x.
    Tanh,
}

fn default_one() -> usize {
    1
}

impl Layer {
    /// Returns the name used in definitions.
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
    /// Returns the name used in definitions.
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
