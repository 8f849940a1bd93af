use std::fmt::{self, Display, Formatter};

use lopside_bundle::InputSpec;
use lopside_encoder::AnyEncoder;

use crate::UpdateError;

/// The kind of inputs that an agent's sources deliver, determined by the encoder that they were started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InputKind {
    Images,
    Windows { channels: Vec<String>, length: u32, stride: u32 },
    Tensors(Vec<u32>),
}

impl InputKind {
    /// Returns the kind of inputs that an encoder accepts.
    pub(super) fn from_encoder(encoder: &AnyEncoder) -> Self {
        match encoder {
            AnyEncoder::ImageCodec(..) => Self::Images,
            AnyEncoder::FixedLatent(encoder, _) => match encoder.input_spec() {
                InputSpec::Picture(_) => Self::Images,
                InputSpec::Series(spec) => {
                    let (channels, length, stride) = (spec.channels.clone(), spec.length, spec.stride);
                    Self::Windows { channels, length, stride }
                }
                InputSpec::Tensor {} => Self::Tensors(encoder.input_dims().to_vec()),
            },
        }
    }

    /// Checks that an encoder accepts these inputs.
    ///
    /// # Errors
    /// [`UpdateError::SourceMismatch`] with both kinds.
    pub(super) fn check(&self, encoder: &AnyEncoder) -> Result<(), UpdateError> {
        let takes = Self::from_encoder(encoder);
        if takes == *self {
            return Ok(());
        }
        Err(UpdateError::SourceMismatch { takes: takes.to_string(), given: self.to_string() })
    }
}

impl Display for InputKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images => f.write_str("images"),
            Self::Windows { channels, length, stride } => {
                write!(
                    f,
                    "windows of {length} rows of the channels {}, one every {stride} rows",
                    channels.join(", ")
                )
            }
            Self::Tensors(dims) => write!(f, "tensors of shape {dims:?}"),
        }
    }
}
