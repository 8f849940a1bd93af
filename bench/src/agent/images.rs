//! The images of the camera.

use std::{io::Cursor, path::Path};

use image::{DynamicImage, codecs::jpeg::JpegEncoder, imageops::FilterType};

use crate::{BenchError, input::read_picture};

/// Size of the images, in pixels.
const SIZE: [u32; 2] = [1280, 720];
/// Number of images; they come again and again.
const COUNT: u32 = 10;
/// Pixels by which the view moves from one image to the next.
const STEP: u32 = 8;
/// Quality of a camera's JPEG.
const QUALITY: u8 = 85;

/// Returns JPEG files that show a picture, each a little further to the right.
pub(super) fn load(picture: &Path) -> Result<Vec<Vec<u8>>, BenchError> {
    let picture = read_picture(picture)?;
    let picture = picture.resize_to_fill(SIZE[0] + STEP * COUNT, SIZE[1], FilterType::Triangle);
    (0..COUNT).map(|number| encode(&picture.crop_imm(STEP * number, 0, SIZE[0], SIZE[1]))).collect()
}

fn encode(view: &DynamicImage) -> Result<Vec<u8>, BenchError> {
    let mut file = Cursor::new(Vec::new());
    let written = JpegEncoder::new_with_quality(&mut file, QUALITY).encode_image(&view.to_rgb8());
    written.map_err(|source| BenchError::EncodeJpeg { source })?;
    Ok(file.into_inner())
}
