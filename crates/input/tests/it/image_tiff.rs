//! TIFF files with offsets of 32 and of 64 bits: colour profile and orientation.

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder as _, RgbImage, codecs::png::PngEncoder, imageops,
    metadata::Orientation,
};
use lopside_input::{ImageFileError, ImagePolicy, ImageWarning, image_dimensions};
use moxcms::ColorProfile;

use crate::image_support::{read, sample};

/// One entry of a directory: tag, kind, and the bytes of its values.
type Entry = (u16, u16, Vec<u8>);

const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const UNDEFINED: u16 = 7;
const PROFILE: u16 = 34_675;

/// A part of the sample with fewer pixels than a profile has bytes.
fn small_sample() -> RgbImage {
    imageops::crop_imm(&sample(), 20, 20, 9, 8).to_image()
}

fn short(tag: u16, values: &[u16]) -> Entry {
    (tag, SHORT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn long(tag: u16, value: usize) -> Entry {
    (tag, LONG, (value as u32).to_le_bytes().to_vec())
}

/// Returns a file of an image without compression and with a further entry.
fn tiff(image: &RgbImage, is_big: bool, further: Entry) -> Vec<u8> {
    let (start, offset_bytes, count_bytes) = if is_big { (16, 8, 8) } else { (8, 4, 2) };
    let offset = |number: usize| (number as u64).to_le_bytes()[..offset_bytes].to_vec();
    let [width, height] = [image.width(), image.height()].map(|side| side as usize);
    let mut entries = vec![
        long(256, width),
        long(257, height),
        short(258, &[8; 3]),
        short(259, &[1]),
        short(262, &[2]),
        long(273, start),
        short(277, &[3]),
        long(278, height),
        long(279, image.as_raw().len()),
        further,
    ];
    entries.sort_by_key(|(tag, ..)| *tag);
    let mut file = vec![0; start];
    file.extend_from_slice(image.as_raw());
    let mut directory = (entries.len() as u64).to_le_bytes()[..count_bytes].to_vec();
    for (tag, kind, mut bytes) in entries {
        let value_bytes = [(SHORT, 2), (LONG, 4)].into_iter().find(|(known, _)| *known == kind);
        directory.extend(tag.to_le_bytes());
        directory.extend(kind.to_le_bytes());
        directory.extend(offset(bytes.len() / value_bytes.map_or(1, |(_, bytes)| bytes)));
        if bytes.len() <= offset_bytes {
            bytes.resize(offset_bytes, 0);
            directory.extend(bytes);
        } else {
            directory.extend(offset(file.len()));
            file.extend(bytes);
        }
    }
    directory.resize(directory.len() + offset_bytes, 0);
    let header = if is_big { b"II+\0\x08\0\0\0".to_vec() } else { b"II*\0".to_vec() };
    let header = [header, offset(file.len())].concat();
    file[..start].copy_from_slice(&header);
    file.extend(directory);
    file
}

fn png_with_profile(profile: &[u8]) -> Vec<u8> {
    let (image, mut file) = (small_sample(), Vec::new());
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile.to_vec()).unwrap();
    encoder.write_image(&image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    file
}

#[test]
fn a_profile_is_applied_however_few_pixels_the_image_has() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let expected = read(&png_with_profile(&profile)).unwrap();
    assert_ne!(expected.image, DynamicImage::from(small_sample()), "the test must see a difference");
    for is_big in [false, true] {
        for kind in [BYTE, UNDEFINED] {
            let file = tiff(&small_sample(), is_big, (PROFILE, kind, profile.clone()));
            assert_eq!(read(&file).unwrap(), expected, "64 bits: {is_big}, kind {kind}");
        }
    }
}

#[test]
fn a_profile_that_cannot_be_read_is_a_warning() {
    let image = small_sample();
    for is_big in [false, true] {
        for further in [(PROFILE, SHORT, vec![0; 600]), (PROFILE, UNDEFINED, b"absurd".repeat(100))] {
            let read = read(&tiff(&image, is_big, further)).unwrap();
            assert!(matches!(read.notes.warnings[..], [ImageWarning::ColourProfileIgnored { .. }]));
            assert_eq!(read.image, DynamicImage::from(image.clone()));
        }
    }
}

#[test]
fn the_orientation_is_applied_at_any_width_of_offsets() {
    for is_big in [false, true] {
        let file = tiff(&small_sample(), is_big, short(274, &[6]));
        let mut expected = DynamicImage::from(small_sample());
        expected.apply_orientation(Orientation::from_exif(6).unwrap());
        let read = read(&file).unwrap();
        assert_eq!((read.image, &read.notes.warnings[..]), (expected, &[][..]), "64 bits: {is_big}");
        assert_eq!(image_dimensions(&file, &ImagePolicy::default()).unwrap(), (8, 9));
    }
}

#[test]
fn a_raw_format_of_a_camera_is_refused_at_any_width_of_offsets() {
    for is_big in [false, true] {
        let file = tiff(&small_sample(), is_big, (0xc612, BYTE, vec![1, 4, 0, 0]));
        let error = read(&file).unwrap_err();
        assert!(matches!(error, ImageFileError::Unsupported { .. }), "{error}");
    }
}
