//! Sample images, their files in several variants, and a measure of their difference.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use lopside_input::{DamagedImages, ImageFileError, ImagePolicy, ReadImage, decode_image_bytes};

/// A soft image of odd size, whose halves differ, so that no turn and no flip maps it to itself.
pub(crate) fn sample() -> RgbImage {
    RgbImage::from_fn(83, 61, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let level = |value: f32| (128.0 + 100.0 * value.sin()) as u8;
        image::Rgb([level(x / 17.0), level(y / 23.0), level((x + 2.0 * y) / 41.0)])
    })
}

pub(crate) fn grey_sample() -> GrayImage {
    DynamicImage::from(sample()).into_luma8()
}

pub(crate) fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG file of the sample. Its options are set by a function.
pub(crate) fn jpeg(options: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let (image, mut bytes) = (sample(), Vec::new());
    let mut encoder = Encoder::new(&mut bytes, 92);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    options(&mut encoder);
    encoder.encode(&image, 83, 61, ColorType::Rgb).unwrap();
    bytes
}

pub(crate) fn grey_jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 92).encode(&grey_sample(), 83, 61, ColorType::Luma).unwrap();
    bytes
}

/// Inserts bytes in front of the first marker of this kind.
pub(crate) fn insert_before(file: &[u8], marker: [u8; 2], inserted: &[u8]) -> Vec<u8> {
    let at = file.windows(2).position(|pair| pair == marker).unwrap();
    [&file[..at], inserted, &file[at..]].concat()
}

pub(crate) fn read(bytes: &[u8]) -> Result<ReadImage, ImageFileError> {
    decode_image_bytes(bytes, &ImagePolicy::default())
}

pub(crate) fn read_marked(bytes: &[u8]) -> Result<ReadImage, ImageFileError> {
    decode_image_bytes(bytes, &ImagePolicy { damaged: DamagedImages::Mark, ..ImagePolicy::default() })
}

/// Returns the peak signal-to-noise ratio of two images of the same size, in dB; 100 for equal ones.
pub(crate) fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let squares = a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2));
    let mean = squares.sum::<f64>() / a.as_raw().len() as f64;
    if mean == 0.0 { 100.0 } else { 10.0 * (255.0 * 255.0 / mean).log10() }
}
