use std::path::PathBuf;

/// An error of an external model that is cut or turned into a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalModelError {
    /// The value of an open dimension is missing or invalid.
    #[error("--bind {argument}: {reason}")]
    InvalidBinding {
        /// The argument.
        argument: String,
        /// The problem.
        reason: String,
    },
    /// Random inputs of this element type cannot be drawn.
    #[error(
        "input `{input}`: its elements have ONNX's type {element_type}, which is not supported for random inputs: export \
         the model with inputs of f32, f64, u8, i32, i64 or bool"
    )]
    UnsupportedInputType {
        /// The name of the input.
        input: String,
        /// The number of the element type in ONNX.
        element_type: i32,
    },
    /// tract cannot run an encoder.
    #[error(
        "tract cannot run this encoder, and the edge uses tract ({reason}): cut at another tensor, or keep the halves \
         with --allow-no-tract if the encoder will run in ONNX Runtime"
    )]
    TractUnsupported {
        /// The error reported by tract.
        reason: String,
    },
    /// The model of a bundle has several inputs or none.
    #[error("the model: it has {count} inputs, but an edge encoder reads exactly one")]
    SeveralInputs {
        /// Number of inputs.
        count: usize,
    },
    /// A tensor of a bundle does not begin with a batch of 1.
    #[error(
        "tensor `{tensor}`: its dimensions are {dims:?}, but a bundle's tensors must begin with a batch of 1: bind it to \
         1, cut at another tensor, or export the model with a batch"
    )]
    UnbatchedTensor {
        /// The name of the tensor.
        tensor: String,
        /// The dimensions of the tensor.
        dims: Vec<i64>,
    },
    /// None of the decoder's outputs has 32-bit floats.
    #[error("the decoder: none of its outputs has 32-bit floats, the only type of a head's output")]
    NoFloatOutput,
    /// No output has the shape that an option requires.
    #[error("{option}: no output is {wanted}; the outputs are {outputs}")]
    NoMatchingOutput {
        /// The option, such as `--reconstruct`.
        option: &'static str,
        /// The required output.
        wanted: String,
        /// The outputs with their shapes.
        outputs: String,
    },
    /// The folder or file does not contain calibration inputs.
    #[error("{}: it does not contain inputs for the calibration", path.display())]
    NoCalibrationInputs {
        /// The folder or file.
        path: PathBuf,
    },
    /// Images are given for an input that is not an image.
    #[error(
        "{}: images require an input [n, 1 or 3, height, width], but `{tensor}` is [n, {shape}]: pass tensors as .npy or \
         .npz",
        path.display()
    )]
    NoImageInput {
        /// The folder or file of the images.
        path: PathBuf,
        /// The name of the input.
        tensor: String,
        /// The dimensions of the input, without the batch.
        shape: String,
    },
    /// An option with one value per channel has another number of values.
    #[error("{option} has {values} values for {channels} channels")]
    ValuesPerChannel {
        /// The option, such as `--mean`.
        option: &'static str,
        /// Number of values given.
        values: usize,
        /// Number of channels of the input.
        channels: usize,
    },
    /// Mean and standard deviation do not map samples to finite, distinct values.
    #[error("--std must be finite and not 0, and --mean must be finite")]
    InvalidNormalisation,
}
