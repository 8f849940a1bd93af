use std::io::Read;

use image::{DynamicImage, GrayImage, RgbImage};
use lopside_input::{ImageNotes, InputLimits, check_image_size};

use super::{
    InputError, NamedFile, NamedImage, NamedImages, check_input_count, image_error, invalid_file,
    npy_array::NpyArray, numbered_name,
};

/// Reads the images of an array of shape `[h, w]`, `[h, w, 3]`, `[n, h, w]` or `[n, h, w, 3]`, of `u1`, or of
/// `f4` with values of 0 to 1.
pub(super) fn read(
    file: &NamedFile,
    reader: Box<dyn Read>,
    limits: &InputLimits,
) -> Result<NamedImages, InputError> {
    let path = &file.path;
    let array = NpyArray::open(path, reader, limits)?;
    let layout = ArrayLayout::from_shape(&array.shape).ok_or_else(|| {
        let shape = &array.shape;
        invalid_file(path, &format!("shape {shape:?} is not [h, w], [h, w, 3], [n, h, w] or [n, h, w, 3]"))
    })?;
    check_image_size(layout.width, layout.height, limits).map_err(|error| image_error(path, error))?;
    check_input_count(path, layout.count.unwrap_or(1), limits)?;
    Ok(layout.split(&file.name, array.read_samples(path)?))
}

struct ArrayLayout {
    /// `None` for a single image without a leading dimension.
    count: Option<u64>,
    height: u32,
    width: u32,
    is_colour: bool,
}

impl ArrayLayout {
    fn from_shape(shape: &[u64]) -> Option<Self> {
        let (count, height, width, is_colour) = match *shape {
            [h, w] => (None, h, w, false),
            [h, w, 3] => (None, h, w, true),
            [n, h, w] => (Some(n), h, w, false),
            [n, h, w, 3] => (Some(n), h, w, true),
            _ => return None,
        };
        Some(Self { count, height: parse_side(height)?, width: parse_side(width)?, is_colour })
    }

    /// Returns the images, copied one by one.
    fn split(self, name: &str, samples: Vec<u8>) -> NamedImages {
        let name = name.to_owned();
        let samples_per_pixel = if self.is_colour { 3 } else { 1 };
        let image_bytes = (self.height as usize * self.width as usize).saturating_mul(samples_per_pixel);
        let count = samples.len() / image_bytes;
        Box::new((0..count).filter_map(move |number| {
            let pixels = &samples[number * image_bytes..][..image_bytes];
            self.named_image(&name, number, pixels).map(Ok)
        }))
    }

    fn named_image(&self, name: &str, number: usize, pixels: &[u8]) -> Option<NamedImage> {
        let name = if self.count.is_some() { numbered_name(name, number) } else { name.to_owned() };
        self.image_from(pixels).map(|picture| NamedImage { name, picture, notes: ImageNotes::default() })
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
