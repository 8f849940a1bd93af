//! Comparison of the outputs with the inputs.

use std::borrow::Cow;

use image::{DynamicImage, ImageFormat};
use lopside_bundle::InputSpec;
use lopside_encoder::{AnyEncoder, source::EncoderInput};
use lopside_input::{ImagePolicy, InputLimits, decode_image_bytes, to_model_image};
use lopside_proto::v1::{self, input::Value as InputValue};
use lopside_quality::{jpeg_at_psnr, png_bytes, psnr};

use super::{
    error::SendError,
    report::{ImageResult, ImageSizeResult, NumbersResult},
    request_limits::ImageSize,
};

/// The factor of both sides by which a head upscales an image.
const UPSCALING: u64 = 2;
/// Bytes per number.
const BYTES_PER_NUMBER: u64 = 4;

/// Returns the size of the encoder's input without a codec, in bytes.
pub(super) fn raw_bytes(encoder: &AnyEncoder, input: &EncoderInput) -> u64 {
    match (input, encoder) {
        (EncoderInput::Values(numbers), _) => BYTES_PER_NUMBER * numbers.len() as u64,
        (EncoderInput::Image(image), AnyEncoder::FixedLatent(fixed_latent, _)) => {
            fixed_latent.input_spec().samples().unwrap_or_else(|| image.as_bytes().len() as u64)
        }
        (EncoderInput::Image(image), AnyEncoder::ImageCodec(..)) => {
            encoder.comparable_original(image).as_bytes().len() as u64
        }
    }
}

/// Returns the reference input of a frame: a PNG of the encoder's input image, or the numbers.
pub(super) fn reference_input(encoder: &AnyEncoder, input: &EncoderInput) -> Result<v1::Input, SendError> {
    let value = match input {
        EncoderInput::Values(numbers) => {
            InputValue::Tensor(v1::Tensor { shape: Vec::new(), values: numbers.clone() })
        }
        EncoderInput::Image(image) => InputValue::Picture(encode_png(&encoder_image(encoder, image))?),
    };
    Ok(v1::Input { value: Some(value) })
}

fn encoder_image<'a>(encoder: &AnyEncoder, image: &'a DynamicImage) -> Cow<'a, DynamicImage> {
    match encoder {
        AnyEncoder::FixedLatent(fixed_latent, _) => match fixed_latent.input_spec() {
            InputSpec::Picture(spec) => Cow::Owned(to_model_image(image, spec)),
            _ => encoder.comparable_original(image),
        },
        AnyEncoder::ImageCodec(..) => encoder.comparable_original(image),
    }
}

fn encode_png(image: &DynamicImage) -> Result<Vec<u8>, SendError> {
    let mut out = std::io::Cursor::new(Vec::new());
    let written = image.write_to(&mut out, ImageFormat::Png);
    written.map_err(|error| {
        SendError::UnexpectedAnswer(format!("the input cannot be encoded as PNG: {error}"))
    })?;
    Ok(out.into_inner())
}

/// Returns the input that a PNG is compared with, and the decoded PNG, in the same colour type.
pub(super) fn comparable_pair<'a>(
    encoder: &AnyEncoder,
    original: &'a DynamicImage,
    png: &[u8],
) -> Result<(Cow<'a, DynamicImage>, DynamicImage), SendError> {
    let output = decode_image_bytes(png, &answer_policy(original))
        .map_err(|error| SendError::UnexpectedAnswer(format!("its PNG cannot be decoded: {error}")))?
        .image;
    let input = encoder.comparable_original(original);
    // A head may answer in RGB or in grey, whatever the input was.
    let output = match *input {
        DynamicImage::ImageLuma8(_) => output.into_luma8().into(),
        _ => output.into_rgb8().into(),
    };
    Ok((input, output))
}

/// Returns the rules for the answer to an image: it may be as large as a head makes it that upscales the image.
fn answer_policy(original: &DynamicImage) -> ImagePolicy {
    let default = InputLimits::default();
    let (width, height) = (original.width(), original.height());
    let pixels = default.max_pixels.max(u64::from(width) * u64::from(height));
    ImagePolicy::with_limits(InputLimits {
        max_pixels: pixels.saturating_mul(UPSCALING * UPSCALING),
        max_side: default.max_side.max(width).max(height).saturating_mul(UPSCALING as u32),
        ..default
    })
}

/// Compares an image with its reconstruction and the other codecs.
pub(super) fn compare_images(input: &DynamicImage, output: &DynamicImage) -> Result<ImageResult, SendError> {
    let psnr_db = psnr(input, output)?;
    let jpeg = jpeg_at_psnr(input, psnr_db)?;
    Ok(ImageResult {
        png_bytes: png_bytes(input)? as u64,
        jpeg_bytes: jpeg.bytes as u64,
        jpeg_psnr_db: jpeg.psnr,
        psnr_db,
    })
}

/// Returns the size of the image that the server decodes; `None` if it does not depend on the input.
pub(super) fn decoded_size(encoder: &AnyEncoder, input: &EncoderInput) -> Option<ImageSize> {
    let (AnyEncoder::ImageCodec(..), EncoderInput::Image(image)) = (encoder, input) else { return None };
    Some((image.width(), image.height()))
}

/// Returns the figures that only image codecs have.
pub(super) fn image_size_result((width, height): ImageSize, frame_bytes: u64) -> ImageSizeResult {
    let pixels = f64::from(width) * f64::from(height);
    ImageSizeResult { width, height, bits_per_pixel: 8.0 * frame_bytes as f64 / pixels }
}

/// Returns the error of an output with as many numbers as the input; `None` for another length.
pub(super) fn compare_numbers(input: &[f32], output: &[f32]) -> Option<NumbersResult> {
    let squares: f64 = input.iter().zip(output).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (input.len() == output.len()).then(|| NumbersResult { rmse: (squares / input.len() as f64).sqrt() })
}

/// Formats an output tensor as CSV: one line per row of the last dimension. If the output has as many numbers
/// as the input, the input's columns come first, with a header of the channel names.
pub(super) fn format_csv(
    channels: &[String],
    input: &[f32],
    output: &v1::Tensor,
) -> Result<Vec<u8>, SendError> {
    let columns = output.shape.last().map_or(1, |&extent| extent.max(1) as usize);
    let input_values = if input.len() == output.values.len() { input } else { &[] };
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    if !input_values.is_empty() && channels.len() == columns {
        let decoded = channels.iter().map(|channel| format!("{channel} decoded"));
        let names = channels.iter().cloned().chain(decoded);
        writer.write_record(names.map(String::into_bytes)).map_err(|error| csv_error(&error))?;
    }
    for (row, values) in output.values.chunks(columns).enumerate() {
        let input_cells = input_values.chunks(columns).nth(row).unwrap_or_default();
        let cells = input_cells.iter().chain(values).map(f32::to_string);
        writer.write_record(cells.map(String::into_bytes)).map_err(|error| csv_error(&error))?;
    }
    writer.into_inner().map_err(|error| csv_error(&error))
}

fn csv_error(error: &dyn std::error::Error) -> SendError {
    SendError::UnexpectedAnswer(format!("its numbers cannot be written as CSV: {error}"))
}

/// Returns the channel names of an encoder that takes windows; none for other encoders.
pub(super) fn channel_names(encoder: &AnyEncoder) -> &[String] {
    match encoder {
        AnyEncoder::FixedLatent(fixed_latent, _) => match fixed_latent.input_spec() {
            InputSpec::Series(series) => &series.channels,
            InputSpec::Picture(_) | InputSpec::Tensor {} => &[],
        },
        AnyEncoder::ImageCodec(..) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_lists_the_input_beside_the_output() {
        let tensor = v1::Tensor { shape: vec![2, 2], values: vec![1.0, 2.5, 3.0, 4.0] };
        let text = |channels: &[String], input: &[f32]| {
            String::from_utf8(format_csv(channels, input, &tensor).unwrap()).unwrap()
        };
        let (channels, input) = (["volts", "a,b"].map(String::from), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(text(&[], &input), "1,2,1,2.5\n3,4,3,4\n");
        assert_eq!(
            text(&channels, &input),
            "volts,\"a,b\",volts decoded,\"a,b decoded\"\n1,2,1,2.5\n3,4,3,4\n"
        );
        assert_eq!(text(&channels, &[1.0]), "1,2.5\n3,4\n");
        assert_eq!(
            compare_numbers(&[1.0, 2.0, 3.0, 4.0], &tensor.values),
            Some(NumbersResult { rmse: 0.25 })
        );
        assert_eq!(compare_numbers(&[1.0], &tensor.values), None);
    }
}
