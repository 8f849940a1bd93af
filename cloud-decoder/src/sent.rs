//! Reference inputs, which clients send along with their frames, converted to the tensors that the encoder
//! read.

use std::io::Cursor;

use image::{DynamicImage, ImageError, ImageReader};
use lopside_bundle::{InputSpec, TensorSpec};

use crate::ServeError;

/// Maximum number of pixels of a reference input.
const MAX_PIXELS: u64 = 1 << 24;
/// Upper bound on the bytes that decoding one reference input may allocate.
const MAX_BYTES: u64 = 8 * MAX_PIXELS;

/// The input that a frame was encoded from, or a thumbnail of it.
#[derive(Debug, Clone, PartialEq)]
pub enum SentInput {
    /// A PNG or JPEG file.
    Picture(Vec<u8>),
    /// Values in their original units, row-major.
    Numbers(Vec<f32>),
}

/// Returns the number of pixels that input `index` of a request occupies in memory until it is a tensor: the
/// size of an image if the encoder takes images, otherwise 0.
///
/// # Errors
/// [`ServeError::Request`] for an image that has more than `limit` pixels or cannot be read.
pub(crate) fn pixels(
    input: &SentInput,
    index: usize,
    spec: &InputSpec,
    limit: u64,
) -> Result<u64, ServeError> {
    let (SentInput::Picture(bytes), InputSpec::Picture(_)) = (input, spec) else { return Ok(0) };
    let limit = limit.min(MAX_PIXELS);
    let (width, height) = reader(bytes)
        .and_then(|reader| reader.into_dimensions().map_err(|error| unreadable(&error)))
        .map_err(|reason| wrong(index, &reason))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels <= limit {
        return Ok(pixels);
    }
    Err(wrong(index, &format!("{width}×{height} pixels are over the limit of {limit}: send a thumbnail")))
}

/// Converts input `index` of a request to the tensor that the encoder read. An image must have passed
/// [`pixels`].
///
/// # Errors
/// [`ServeError::Request`] if the input does not match the input of the bundle's encoder.
pub(crate) fn tensor(
    input: &SentInput,
    index: usize,
    spec: &InputSpec,
    tensor: &TensorSpec,
) -> Result<Vec<f32>, ServeError> {
    match (input, spec) {
        (SentInput::Picture(bytes), InputSpec::Picture(spec)) => {
            let picture = decode(bytes).map_err(|reason| wrong(index, &reason))?;
            Ok(lopside_input::samples_of(&lopside_input::picture_of(&picture, spec), spec))
        }
        (SentInput::Numbers(numbers), InputSpec::Series(spec)) => {
            let numbers = counted(numbers, index, tensor)?;
            Ok(lopside_input::normalised(numbers, spec))
        }
        (SentInput::Numbers(numbers), InputSpec::Tensor {}) => Ok(counted(numbers, index, tensor)?.to_vec()),
        (_, InputSpec::Picture(_)) => Err(wrong(index, "it contains numbers, but the encoder reads images")),
        (SentInput::Picture(_), _) => Err(wrong(index, "it is an image, but the encoder reads numbers")),
    }
}

/// Checks that there are as many values as the tensor has elements, and that all of them are finite.
fn counted<'a>(numbers: &'a [f32], index: usize, tensor: &TensorSpec) -> Result<&'a [f32], ServeError> {
    let (found, expected) = (numbers.len(), tensor.item_elements().unwrap_or(0));
    if found as u64 != expected || numbers.iter().any(|number| !number.is_finite()) {
        return Err(wrong(
            index,
            &format!("it has {found} numbers, but the encoder reads {expected}, all of them finite"),
        ));
    }
    Ok(numbers)
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut reader = reader(bytes)?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    reader.decode().map_err(|error| unreadable(&error))
}

fn reader(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    reader.map_err(|error| unreadable(&ImageError::IoError(error)))
}

fn unreadable(error: &ImageError) -> String {
    format!("it is not a readable PNG or JPEG file: {error}")
}

fn wrong(index: usize, reason: &str) -> ServeError {
    ServeError::Request(format!("input {index}: {reason}"))
}

#[cfg(test)]
mod tests {
    use lopside_bundle::{Channels, Dim, PictureSpec, SeriesSpec};

    use super::*;
    use crate::output::encode_png;

    fn shape(extent: u32) -> TensorSpec {
        TensorSpec { name: "x".into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(extent)] }
    }

    #[test]
    fn a_thumbnail_becomes_what_the_encoder_sees() {
        let spec = InputSpec::Picture(PictureSpec::uniform(2, 2, Channels::Grey, 0.0, 1.0));
        let grey = image::GrayImage::from_pixel(9, 7, image::Luma([51]));
        let sent = SentInput::Picture(encode_png(&grey.into()).unwrap());
        assert_eq!(tensor(&sent, 0, &spec, &shape(4)).unwrap(), [0.2; 4]);
        let broken = tensor(&SentInput::Picture(vec![1, 2, 3]), 5, &spec, &shape(4)).unwrap_err();
        assert!(broken.to_string().contains("input 5"), "{broken}");
    }

    #[test]
    fn a_large_picture_is_refused_before_it_is_unpacked() {
        let spec = InputSpec::Picture(PictureSpec::uniform(2, 2, Channels::Grey, 0.0, 1.0));
        let grey = image::GrayImage::from_pixel(9, 7, image::Luma([51]));
        let sent = SentInput::Picture(encode_png(&grey.into()).unwrap());
        assert_eq!(pixels(&sent, 0, &spec, 63), Ok(63));
        let error = pixels(&sent, 3, &spec, 62).unwrap_err().to_string();
        assert!(error.starts_with("input 3: 9×7 pixels are over the limit of 62"), "{error}");
        assert_eq!(pixels(&SentInput::Numbers(vec![0.0; 99]), 0, &spec, 1), Ok(0));
    }

    #[test]
    fn numbers_are_counted_and_normalised() {
        let series = SeriesSpec {
            length: 2,
            stride: 1,
            channels: vec!["volts".into()],
            mean: vec![1.0],
            deviation: vec![2.0],
        };
        let spec = InputSpec::Series(series);
        let of = |numbers: &[f32]| tensor(&SentInput::Numbers(numbers.to_vec()), 0, &spec, &shape(2));
        assert_eq!(of(&[3.0, 1.0]).unwrap(), [1.0, 0.0]);
        assert!(of(&[3.0]).is_err() && of(&[3.0, f32::NAN]).is_err());
        assert!(tensor(&SentInput::Picture(Vec::new()), 0, &spec, &shape(2)).is_err());
    }
}
