//! Reference inputs, which clients send along with their frames, converted to the tensors that the encoder
//! read. Images are read by the policy of the edge, so that both ends see the same pixels.

use lopside_bundle::{InputSpec, TensorSpec};
use lopside_input::{
    ImageFileError, ImagePolicy, InputLimits, decode_image_bytes, image_dimensions, image_samples,
    normalise_window, to_model_image,
};

use crate::DecodeError;

/// Maximum number of pixels of a reference input.
const MAX_PIXELS: u64 = 1 << 24;

/// The input that a frame was encoded from, or a thumbnail of it.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceInput {
    /// The file of an image, such as PNG or JPEG.
    Image(Vec<u8>),
    /// Values in their original units, row-major.
    Values(Vec<f32>),
}

/// Returns the number of pixels that input `index` of a request occupies in memory until it is a tensor: the
/// size of an image if the encoder takes images, otherwise 0.
///
/// # Errors
/// [`DecodeError::InvalidRequest`] for an image that has more than `limit` pixels or cannot be read.
pub(crate) fn count_pixels(
    input: &ReferenceInput,
    index: usize,
    spec: &InputSpec,
    limit: u64,
) -> Result<u64, DecodeError> {
    let (ReferenceInput::Image(bytes), InputSpec::Picture(_)) = (input, spec) else { return Ok(0) };
    let (width, height) = image_dimensions(bytes, &policy(limit.min(MAX_PIXELS)))
        .map_err(|error| input_error(index, &refusal(&error)))?;
    Ok(u64::from(width) * u64::from(height))
}

/// Converts input `index` of a request to the tensor that the encoder read. An image must have passed
/// [`count_pixels`].
///
/// # Errors
/// [`DecodeError::InvalidRequest`] if the input does not match the input of the bundle's encoder.
pub(crate) fn convert_to_tensor(
    input: &ReferenceInput,
    index: usize,
    spec: &InputSpec,
    tensor: &TensorSpec,
) -> Result<Vec<f32>, DecodeError> {
    match (input, spec) {
        (ReferenceInput::Image(bytes), InputSpec::Picture(spec)) => {
            let read = decode_image_bytes(bytes, &policy(MAX_PIXELS))
                .map_err(|error| input_error(index, &refusal(&error)))?;
            Ok(image_samples(&to_model_image(&read.image, spec), spec))
        }
        (ReferenceInput::Values(values), InputSpec::Series(spec)) => {
            let values = check_values(values, index, tensor)?;
            Ok(normalise_window(values, spec))
        }
        (ReferenceInput::Values(values), InputSpec::Tensor {}) => {
            Ok(check_values(values, index, tensor)?.to_vec())
        }
        (_, InputSpec::Picture(_)) => {
            Err(input_error(index, "it contains numbers, but the encoder reads images"))
        }
        (ReferenceInput::Image(_), _) => {
            Err(input_error(index, "it is an image, but the encoder reads numbers"))
        }
    }
}

/// Checks that there are as many values as the tensor has elements, and that all of them are finite.
fn check_values<'a>(values: &'a [f32], index: usize, tensor: &TensorSpec) -> Result<&'a [f32], DecodeError> {
    let (found, expected) = (values.len(), tensor.item_elements().unwrap_or(0));
    if found as u64 != expected || values.iter().any(|value| !value.is_finite()) {
        return Err(input_error(
            index,
            &format!("it has {found} numbers, but the encoder reads {expected}, all of them finite"),
        ));
    }
    Ok(values)
}

/// Returns the policy of reference inputs. Only their number of pixels is limited, because they are resized.
fn policy(max_pixels: u64) -> ImagePolicy {
    ImagePolicy::with_limits(InputLimits { max_pixels, max_side: u32::MAX, ..InputLimits::default() })
}

fn refusal(error: &ImageFileError) -> String {
    match error {
        ImageFileError::TooManyPixels { width, height, limit } => {
            format!("{width}×{height} pixels are over the limit of {limit}: send a thumbnail")
        }
        other => format!("it is not a readable image: {other}"),
    }
}

fn input_error(index: usize, reason: &str) -> DecodeError {
    DecodeError::InvalidRequest(format!("input {index}: {reason}"))
}

#[cfg(test)]
mod tests {
    use lopside_bundle::{Channels, Dim, ImageSpec, TimeSeriesSpec};

    use super::*;
    use crate::png::encode_png;

    fn shape(extent: u32) -> TensorSpec {
        TensorSpec { name: "x".into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(extent)] }
    }

    #[test]
    fn a_thumbnail_becomes_the_encoder_s_input() {
        let spec = InputSpec::Picture(ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0));
        let grey = image::GrayImage::from_pixel(9, 7, image::Luma([51]));
        let image = ReferenceInput::Image(encode_png(&grey.into()).unwrap());
        assert_eq!(convert_to_tensor(&image, 0, &spec, &shape(4)).unwrap(), [0.2; 4]);
        let broken =
            convert_to_tensor(&ReferenceInput::Image(vec![1, 2, 3]), 5, &spec, &shape(4)).unwrap_err();
        assert!(broken.to_string().contains("input 5"), "{broken}");
    }

    #[test]
    fn a_large_image_is_refused_before_it_is_decoded() {
        let spec = InputSpec::Picture(ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0));
        let grey = image::GrayImage::from_pixel(9, 7, image::Luma([51]));
        let image = ReferenceInput::Image(encode_png(&grey.into()).unwrap());
        assert_eq!(count_pixels(&image, 0, &spec, 63), Ok(63));
        let error = count_pixels(&image, 3, &spec, 62).unwrap_err().to_string();
        assert!(error.starts_with("input 3: 9×7 pixels are over the limit of 62"), "{error}");
        assert_eq!(count_pixels(&ReferenceInput::Values(vec![0.0; 99]), 0, &spec, 1), Ok(0));
    }

    #[test]
    fn values_are_counted_and_normalised() {
        let series = TimeSeriesSpec {
            length: 2,
            stride: 1,
            channels: vec!["volts".into()],
            mean: vec![1.0],
            deviation: vec![2.0],
        };
        let spec = InputSpec::Series(series);
        let convert =
            |values: &[f32]| convert_to_tensor(&ReferenceInput::Values(values.to_vec()), 0, &spec, &shape(2));
        assert_eq!(convert(&[3.0, 1.0]).unwrap(), [1.0, 0.0]);
        assert!(convert(&[3.0]).is_err() && convert(&[3.0, f32::NAN]).is_err());
        assert!(convert_to_tensor(&ReferenceInput::Image(Vec::new()), 0, &spec, &shape(2)).is_err());
    }
}
