//! TIFF files of JPEG images in YCbCr (TIFF Technical Note 2), the usual form of compressed scans and maps.
//!
//! The decoder of these JPEG images does not convert colours, and its caller refuses images that are declared as YCbCr.
//! The file is therefore read as if it were RGB, and the colours are converted afterwards, as JFIF defines it. That is
//! what libtiff does as well, whatever coefficients the file declares.

use image::RgbImage;

use super::{
    tiff_directory::{COMPRESSION, JPEG, PHOTOMETRIC},
    tiff_tags::TiffTags,
};

const RGB: u16 = 2;
const YCBCR: u64 = 6;

/// Returns a copy of a file of JPEG images in YCbCr that declares them as RGB; `None` for all other files.
pub(super) fn declared_as_rgb(bytes: &[u8]) -> Option<Vec<u8>> {
    let (tags, first) = TiffTags::parse(bytes)?;
    let photometric = tags.last_entry(first, PHOTOMETRIC)?;
    let number = |entry| tags.value_of(entry)?.number();
    if number(tags.last_entry(first, COMPRESSION)?) != Some(JPEG) || number(photometric) != Some(YCBCR) {
        return None;
    }
    let mut copy = bytes.to_vec();
    copy.get_mut(tags.short_field(photometric)?)?.copy_from_slice(&tags.short_bytes(RGB));
    Some(copy)
}

/// Converts pixels from YCbCr to RGB, in the whole range of 8 bits.
pub(super) fn convert_to_rgb(image: &mut RgbImage) {
    for pixel in image.pixels_mut() {
        let [luma, blue, red] = pixel.0.map(f32::from);
        let (blue, red) = (blue - 128.0, red - 128.0);
        let rgb = [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue];
        pixel.0 = rgb.map(|sample| sample.round().clamp(0.0, 255.0) as u8);
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Returns a file of these entries: tag, kind, value in two bytes.
    fn file(magic: [u8; 4], entries: &[(u16, u16, u16)]) -> Vec<u8> {
        let is_big_endian = magic.starts_with(b"MM");
        let short = |number: u16| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let long = |number: u32| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let mut bytes = [&magic[..], &long(8), &short(entries.len() as u16)].concat();
        for &(tag, kind, value) in entries {
            bytes.extend([&short(tag)[..], &short(kind), &long(1), &short(value), &[0, 0]].concat());
        }
        [bytes, long(0).to_vec()].concat()
    }

    #[test]
    fn only_jpeg_in_ycbcr_is_read_as_rgb() {
        for magic in [*b"II*\0", *b"MM\0*"] {
            let entries = |compression, photometric| [(259, 3, compression), (262, 3, photometric)];
            let ycbcr = file(magic, &entries(7, 6));
            assert_eq!(declared_as_rgb(&ycbcr), Some(file(magic, &entries(7, 2))));
            for (compression, photometric) in [(7, 2), (7, 1), (1, 6), (6, 6)] {
                assert_eq!(declared_as_rgb(&file(magic, &entries(compression, photometric))), None);
            }
            // The last entry counts, as for the decoder and its checks; one of an unknown kind does not.
            let twice =
                |first, last| file(magic, &[(259, 3, 7), (262, 3, first), (262, 3, last), (262, 99, 1)]);
            assert_eq!(declared_as_rgb(&twice(1, 6)), Some(twice(1, 2)));
            assert_eq!(declared_as_rgb(&twice(6, 1)), None);
            assert_eq!(declared_as_rgb(&file(magic, &[(259, 3, 7), (262, 4, 6)])), None, "not a short");
            for cut in 0..ycbcr.len() {
                declared_as_rgb(&ycbcr[..cut]);
            }
        }
        assert_eq!(declared_as_rgb(b"no TIFF file"), None);
    }

    #[test]
    fn colours_are_those_of_jfif() {
        for (ycbcr, rgb) in [
            ([0, 128, 128], [0, 0, 0]),
            ([255, 128, 128], [255, 255, 255]),
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
        ] {
            let mut image = RgbImage::from_pixel(1, 1, Rgb(ycbcr));
            convert_to_rgb(&mut image);
            assert_eq!(image.get_pixel(0, 0).0, rgb, "{ycbcr:?}");
        }
    }
}
