use std::{io::Read, path::Path};

use image::{DynamicImage, GrayImage, RgbImage};
use npyz::{DType, NpyFile, Order, TypeChar};

use super::{InputError, NamedImage, NamedImages, file_stem, invalid_file, npy_error, numbered_name};

/// The largest array, in samples.
const MAX_SAMPLES: u64 = 1 << 30;

/// Reads the images of an array of shape `[h, w]`, `[h, w, 3]`, `[n, h, w]` or `[n, h, w, 3]`, of `u1`, or of
/// `f4` with values of 0 to 1.
pub(super) fn read(path: &Path, reader: Box<dyn Read>) -> Result<NamedImages, InputError> {
    let file = NpyFile::new(reader).map_err(|error| npy_error(path, &error))?;
    if file.order() != Order::C {
        return Err(invalid_file(
            path,
            "the array is in Fortran order: save it with numpy.ascontiguousarray",
        ));
    }
    if file.shape().iter().try_fold(1_u64, |n, &d| n.checked_mul(d)).is_none_or(|n| n > MAX_SAMPLES) {
        return Err(invalid_file(path, "the array has over 2^30 samples: split it"));
    }
    let layout = ArrayLayout::from_shape(file.shape()).ok_or_else(|| {
        let shape = file.shape();
        invalid_file(path, &format!("shape {shape:?} is not [h, w], [h, w, 3], [n, h, w] or [n, h, w, 3]"))
    })?;
    let samples = match file.dtype() {
        DType::Plain(kind) if kind.type_char() == TypeChar::Uint && kind.size_field() == 1 => {
            file.into_vec::<u8>().map_err(|error| npy_error(path, &error))?
        }
        DType::Plain(kind) if kind.type_char() == TypeChar::Float && kind.size_field() == 4 => {
            floats_to_bytes(path, &file.into_vec::<f32>().map_err(|error| npy_error(path, &error))?)?
        }
        other => {
            return Err(invalid_file(
                path,
                &format!(
                    "the type {} is not supported: use uint8, or float32 with values of 0 to 1",
                    other.descr()
                ),
            ));
        }
    };
    Ok(layout.split(path, &samples))
}

fn floats_to_bytes(path: &Path, samples: &[f32]) -> Result<Vec<u8>, InputError> {
    if let Some(value) = samples.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        return Err(invalid_file(path, &format!("float samples must be 0 to 1, but one is {value}")));
    }
    Ok(samples.iter().map(|value| (value * 255.0).round() as u8).collect())
}

struct ArrayLayout {
    count: Option<usize>,
    height: u32,
    width: u32,
    is_colour: bool,
}

impl ArrayLayout {
    fn from_shape(shape: &[u64]) -> Option<Self> {
        let (count, height, width, colour) = match *shape {
            [h, w] => (None, h, w, false),
            [h, w, 3] => (None, h, w, true),
            [n, h, w] => (Some(n), h, w, false),
            [n, h, w, 3] => (Some(n), h, w, true),
            _ => return None,
        };
        let count = count.map(usize::try_from).transpose().ok()?;
        Some(Self { count, height: parse_side(height)?, width: parse_side(width)?, is_colour: colour })
    }

    fn split(self, path: &Path, samples: &[u8]) -> NamedImages {
        let image_bytes = self.height as usize * self.width as usize * if self.is_colour { 3 } else { 1 };
        let items: Vec<NamedImage> = samples
            .chunks_exact(image_bytes)
            .enumerate()
            .filter_map(|(number, pixels)| self.named_image(path, number, pixels))
            .collect();
        Box::new(items.into_iter().map(Ok))
    }

    fn named_image(&self, path: &Path, number: usize, pixels: &[u8]) -> Option<NamedImage> {
        let name = if self.count.is_some() { numbered_name(path, number) } else { file_stem(path) };
        self.image_from(pixels).map(|picture| NamedImage { name, picture })
    }

    fn image_from(&self, pixels: &[u8]) -> Option<DynamicImage> {
        let pixels = pixels.to_vec();
        Some(if self.is_colour {
            RgbImage::from_raw(self.width, self.height, pixels)?.into()
        } else {
            GrayImage::from_raw(self.width, self.height, pixels)?.into()
        })
    }
}

/// Returns the side of an image, or `None` if it is zero or too large.
fn parse_side(extent: u64) -> Option<u32> {
    u32::try_from(extent).ok().filter(|&extent| extent > 0)
}
