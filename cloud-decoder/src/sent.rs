//! Inputs that callers send along with their frames, as the tensors that the encoder saw.

use std::io::Cursor;

use image::ImageReader;
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

/// The tensor of input `index` of a request, as the encoder saw it.
///
/// # Errors
/// [`ServeError::Request`] when it is not what the bundle's encoder takes.
pub(crate) fn tensor(
    input: &SentInput,
    index: usize,
    spec: &InputSpec,
    tensor: &TensorSpec,
) -> Result<Vec<f32>, ServeError> {
    let wrong = |reason: String| ServeError::Request(format!("input {index}: {reason}"));
    match (input, spec) {
        (SentInput::Picture(bytes), InputSpec::Picture(spec)) => {
            let picture = decode(bytes).map_err(wrong)?;
            Ok(lopside_input::samples_of(&lopside_input::picture_of(&picture, spec), spec))
        }
        (SentInput::Numbers(numbers), spec) => {
            let expected = tensor.item_elements().unwrap_or(0);
            if numbers.len() as u64 != expected || numbers.iter().any(|number| !number.is_finite()) {
                return Err(wrong(format!(
                    "it has {} numbers, the encoder takes {expected} finite ones",
                    numbers.len()
                )));
            }
            Ok(match spec {
                InputSpec::Series(spec) => lopside_input::normalised(numbers, spec),
                InputSpec::Picture(_) | InputSpec::Tensor {} => numbers.clone(),
            })
        }
        (SentInput::Picture(_), _) => Err(wrong("it is a picture, the encoder takes numbers".into())),
    }
}

fn decode(bytes: &[u8]) -> Result<image::DynamicImage, String> {
    let text = |error: image::ImageError| format!("it is no PNG or JPEG file that can be read: {error}");
    let reader = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        reader.map_err(|error| text(image::ImageError::IoError(error)))
    };
    let (width, height) = reader()?.into_dimensions().map_err(text)?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width}×{height} pixels are over {MAX_PIXELS}: send a thumbnail"));
    }
    let mut reader = reader()?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    reader.decode().map_err(text)
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
