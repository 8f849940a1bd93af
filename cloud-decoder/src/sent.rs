//! Inputs that callers send along with their frames, as the tensors that the encoder saw.

use std::io::Cursor;

use image::{DynamicImage, ImageError, ImageReader};
use lopside_bundle::{InputSpec, TensorSpec};

use crate::ServeError;

/// The most pixels of a picture that is sent along.
const MAX_PIXELS: u64 = 1 << 24;
/// Memory that decoding one may take.
const MAX_BYTES: u64 = 8 * MAX_PIXELS;

/// What a frame was made of, or a thumbnail of it.
#[derive(Debug, Clone, PartialEq)]
pub enum SentInput {
    /// A PNG or JPEG file.
    Picture(Vec<u8>),
    /// Numbers in their own units, row-major.
    Numbers(Vec<f32>),
}

/// How many pixels of memory input `index` of a request takes before it is a tensor: those of a picture where the
/// encoder takes pictures, at most `limit`.
///
/// # Errors
/// [`ServeError::Request`] for a picture that is larger or cannot be read.
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
    Err(wrong(index, &format!("{width}×{height} pixels are over {limit}: send a thumbnail")))
}

/// The tensor of input `index` of a request, as the encoder saw it. A picture has passed [`pixels`].
///
/// # Errors
/// [`ServeError::Request`] when it is not what the bundle's encoder takes.
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
        (_, InputSpec::Picture(_)) => Err(wrong(index, "it is numbers, the encoder takes pictures")),
        (SentInput::Picture(_), _) => Err(wrong(index, "it is a picture, the encoder takes numbers")),
    }
}

/// As many numbers as the tensor has, all finite.
fn counted<'a>(numbers: &'a [f32], index: usize, tensor: &TensorSpec) -> Result<&'a [f32], ServeError> {
    let (found, expected) = (numbers.len(), tensor.item_elements().unwrap_or(0));
    if found as u64 != expected || numbers.iter().any(|number| !number.is_finite()) {
        return Err(wrong(
            index,
            &format!("it has {found} numbers, the encoder takes {expected} finite ones"),
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
    format!("it is no PNG or JPEG file that can be read: {error}")
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
        assert!(error.starts_with("input 3: 9×7 pixels are over 62"), "{error}");
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
