//! Samples that do not use the whole range of their type, although the file says how far they go.

use image::DynamicImage;

/// Stretches samples of a file with fewer significant bits than 16, if they are stored in the low bits.
///
/// By the standard of PNG they are in the high bits, with copies of the high bits or zeros below. Some cameras store
/// the value of the sensor instead, and a viewer that follows the file shows almost black.
pub(super) fn stretch_significant_bits(image: &mut DynamicImage, bits: u8) {
    let (1..=15, Some(samples)) = (bits, deep_samples(image)) else { return };
    let max = (1_u16 << bits) - 1;
    let in_low_bits = samples.iter().all(|&sample| sample <= max);
    let in_high_bits = samples.iter().all(|&sample| {
        let top = sample >> (16 - bits);
        sample == top << (16 - bits) || sample == replicate(top, bits)
    });
    if in_low_bits && !in_high_bits {
        match image {
            DynamicImage::ImageLuma16(image) => stretch(image, max),
            DynamicImage::ImageRgb16(image) => stretch(image, max),
            _ => {}
        }
    }
}

/// Repeats the bits of a value down to the lowest bit of 16.
fn replicate(top: u16, bits: u8) -> u16 {
    let mut value = u32::from(top) << (16 - bits);
    let mut filled = u32::from(bits);
    while filled < 16 {
        value |= value >> filled;
        filled *= 2;
    }
    value as u16
}

/// Returns the samples of an image of 16 bits without alpha.
fn deep_samples(image: &DynamicImage) -> Option<&[u16]> {
    match image {
        DynamicImage::ImageLuma16(image) => Some(image),
        DynamicImage::ImageRgb16(image) => Some(image),
        _ => None,
    }
}

/// Stretches samples that go from 0 to `max` to the whole range.
fn stretch(samples: &mut [u16], max: u16) {
    let max = u32::from(max);
    for sample in samples {
        *sample = ((u32::from(*sample) * 65_535 + max / 2) / max) as u16;
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Luma};

    use super::*;

    fn stretched(samples: &[u16], bits: u8) -> Vec<u16> {
        let image = ImageBuffer::from_fn(samples.len() as u32, 1, |x, _| Luma([samples[x as usize]]));
        let mut image = DynamicImage::ImageLuma16(image);
        stretch_significant_bits(&mut image, bits);
        image.into_luma16().into_raw()
    }

    #[test]
    fn values_of_a_sensor_are_stretched_and_those_of_the_standard_are_not() {
        assert_eq!(stretched(&[0, 1, 4095], 12), [0, 16, 65_535]);
        let replicated = [0, 0x1231, 0xffff];
        assert_eq!(stretched(&replicated, 12), replicated);
        // A dark image by the standard: its values also fit into twelve bits.
        let dark = [0x0010, 0x0ab0, 0x0010];
        assert_eq!(stretched(&dark, 12), dark);
        assert_eq!(stretched(&[5, 4096], 16), [5, 4096]);
    }
}
