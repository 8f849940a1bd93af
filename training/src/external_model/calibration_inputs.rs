//! The calibration inputs of an external model: images, or tensors in their raw form.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{Cursor, Read as _},
    path::Path,
};

use lopside_bundle::{Channels, ImageSpec, InputSpec};

use lopside_encoder::{
    InputError,
    source::{self, EncoderInput, NamedInputs, numbers},
};
use lopside_input::{image_samples, to_model_image};
use zip::ZipArchive;

use super::tensor::NamedTensor;
use crate::{
    ExternalModelError, TrainingError,
    error::{invalid_data, io_error},
};

/// Maximum size of an array in an `.npz` file, in bytes.
const MAX_ARRAY_BYTES: u64 = 1 << 31;

/// Normalisation of image samples from 0 to 1: `(sample − mean) / std`, like PyTorch's `Normalize`.
#[derive(Debug, Clone)]
pub(super) struct Normalise {
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
}

impl Normalise {
    /// Returns the normalised values of a sample, one per channel.
    fn apply_to(&self, sample: f32) -> Vec<f32> {
        self.mean.iter().zip(&self.std).map(|(mean, std)| (sample - mean) / std).collect()
    }
}

/// Inputs with the specification of their conversion to the encoder's tensor.
#[derive(Debug)]
pub(super) struct CalibrationInputs {
    pub(super) spec: InputSpec,
    pub(super) inputs: Vec<EncoderInput>,
}

impl CalibrationInputs {
    /// Reads at most `max_inputs` inputs from a folder or file, for an encoder with input `tensor`.
    pub(super) fn read(
        path: &Path,
        tensor: &NamedTensor,
        normalise: &Normalise,
        max_inputs: usize,
    ) -> Result<Self, TrainingError> {
        let result = if has_arrays(path)? {
            let spec = InputSpec::Tensor {};
            Self { spec, inputs: collect_inputs(read_tensors(path, &tensor.dims)?, max_inputs)? }
        } else {
            let spec = image_spec(path, tensor, normalise)?;
            let inputs = source::open_inputs(&[path.to_owned()])?;
            // Images are resized at once: the photographs of a folder may exceed the memory.
            let inputs = inputs.map(|named| {
                named.map(|named| source::NamedInput { input: resize_image(named.input, &spec), ..named })
            });
            let inputs = collect_inputs(inputs, max_inputs)?;
            Self { spec: InputSpec::Picture(spec), inputs }
        };
        if result.inputs.is_empty() {
            return Err(ExternalModelError::NoCalibrationInputs { path: path.to_owned() }.into());
        }
        Ok(result)
    }

    /// Returns the encoder's tensors for all inputs, one after the other.
    pub(super) fn samples(&self) -> Vec<f32> {
        self.inputs
            .iter()
            .flat_map(|input| match (input, &self.spec) {
                (EncoderInput::Image(image), InputSpec::Picture(spec)) => image_samples(image, spec),
                (EncoderInput::Values(values), _) => values.clone(),
                (EncoderInput::Image(_), _) => Vec::new(),
            })
            .collect()
    }
}

/// Converts an image to the form of `spec`. Other inputs stay as they are.
fn resize_image(input: EncoderInput, spec: &ImageSpec) -> EncoderInput {
    match input {
        EncoderInput::Image(image) => EncoderInput::Image(to_model_image(&image, spec)),
        values @ EncoderInput::Values(_) => values,
    }
}

fn collect_inputs(
    inputs: impl Iterator<Item = Result<source::NamedInput, InputError>>,
    max_inputs: usize,
) -> Result<Vec<EncoderInput>, TrainingError> {
    inputs.take(max_inputs).map(|named| Ok(named?.input)).collect()
}

/// Returns whether the path has arrays instead of images.
fn has_arrays(path: &Path) -> Result<bool, TrainingError> {
    if !path.is_dir() {
        return Ok(is_array(path));
    }
    let entries = fs::read_dir(path).map_err(io_error(path))?;
    Ok(entries.flatten().any(|entry| is_array(&entry.path())))
}

fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "npy" || extension == "npz")
}

/// Returns the image specification for a tensor `[channels, height, width]`.
fn image_spec(
    path: &Path,
    tensor: &NamedTensor,
    normalise: &Normalise,
) -> Result<ImageSpec, ExternalModelError> {
    let (channels, height, width) = match tensor.dims[..] {
        [1, height, width] => (Channels::Grey, height, width),
        [3, height, width] => (Channels::Rgb, height, width),
        _ => {
            let (path, shape) = (path.to_owned(), tensor.text());
            return Err(ExternalModelError::NoImageInput { path, tensor: tensor.name.clone(), shape });
        }
    };
    let count = channels.count() as usize;
    let normalise = Normalise {
        mean: values_per_channel("--mean", &normalise.mean, count)?,
        std: values_per_channel("--std", &normalise.std, count)?,
    };
    let (low, high) = (normalise.apply_to(0.0), normalise.apply_to(1.0));
    if low
        .iter()
        .zip(&high)
        .any(|(low, high)| !(low.is_finite() && high.is_finite() && (high - low).abs() > 0.0))
    {
        return Err(ExternalModelError::InvalidNormalisation);
    }
    Ok(ImageSpec { width, height, channels, low, high })
}

/// Returns the values of an option, one per channel. A single value applies to all channels.
fn values_per_channel(
    option: &'static str,
    values: &[f32],
    channels: usize,
) -> Result<Vec<f32>, ExternalModelError> {
    match values {
        [value] => Ok(vec![*value; channels]),
        values if values.len() == channels => Ok(values.to_vec()),
        values => Err(ExternalModelError::ValuesPerChannel { option, values: values.len(), channels }),
    }
}

/// Reads tensors from `.npy` files or from an `.npz` file with one array.
fn read_tensors(path: &Path, dims: &[u32]) -> Result<NamedInputs, TrainingError> {
    if path.extension().is_none_or(|extension| extension != "npz") {
        return Ok(numbers::open_tensors(&[path.to_owned()], dims)?);
    }
    let file = File::open(path).map_err(io_error(path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| archive_error(path, &error))?;
    if archive.len() != 1 {
        let names: Vec<&str> = archive.file_names().collect();
        let reason = format!("it has {} arrays ({}): save only the inputs", names.len(), names.join(", "));
        return Err(invalid_data(path, reason));
    }
    let mut bytes = Vec::new();
    let entry = archive.by_index(0).map_err(|error| archive_error(path, &error))?;
    entry.take(MAX_ARRAY_BYTES).read_to_end(&mut bytes).map_err(|error| archive_error(path, &error))?;
    Ok(numbers::read_tensors(path, Box::new(Cursor::new(bytes)), dims)?)
}

fn archive_error(path: &Path, error: &dyn Display) -> TrainingError {
    invalid_data(path, format!("not a readable .npz file: {error}"))
}
