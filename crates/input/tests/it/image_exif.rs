//! Orientation, time and place of EXIF, in every format that has them.

use std::time::{Duration, SystemTime};

use chrono::{Local, TimeZone as _};
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder as _, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation,
};
use lopside_input::{ImagePolicy, ImageWarning, Location, image_dimensions};

use crate::image_support::{psnr, read, sample};

/// One entry of a directory: tag, kind, number of values, and their bytes.
type Entry = (u16, u16, u32, Vec<u8>);

fn short(tag: u16, value: u16) -> Entry {
    (tag, 3, 1, value.to_le_bytes().to_vec())
}

fn text(tag: u16, value: &str) -> Entry {
    (tag, 2, value.len() as u32 + 1, [value.as_bytes(), &[0]].concat())
}

fn fractions(tag: u16, values: &[(u32, u32)]) -> Entry {
    let bytes = values.iter().flat_map(|&(above, below)| [above, below]).flat_map(u32::to_le_bytes);
    (tag, 5, values.len() as u32, bytes.collect())
}

/// Appends a directory, and returns its offset.
fn push_directory(block: &mut Vec<u8>, entries: &[Entry]) -> u32 {
    let mut offsets = Vec::new();
    for (_, _, _, bytes) in entries {
        offsets.push(block.len() as u32);
        block.extend(bytes);
    }
    let directory = block.len() as u32;
    block.extend((entries.len() as u16).to_le_bytes());
    for ((tag, kind, count, bytes), offset) in entries.iter().zip(offsets) {
        block.extend(tag.to_le_bytes());
        block.extend(kind.to_le_bytes());
        block.extend(count.to_le_bytes());
        let mut inline = bytes.clone();
        inline.resize(4, 0);
        block.extend(if bytes.len() <= 4 { inline } else { offset.to_le_bytes().to_vec() });
    }
    block.extend([0; 4]);
    directory
}

fn exif(orientation: u16, exif: &[Entry], gps: &[Entry]) -> Vec<u8> {
    let mut block = b"II*\0\0\0\0\0".to_vec();
    let long = |tag, value: u32| (tag, 4, 1, value.to_le_bytes().to_vec());
    let exif = push_directory(&mut block, exif);
    let gps = push_directory(&mut block, gps);
    let first =
        push_directory(&mut block, &[short(0x0112, orientation), long(0x8769, exif), long(0x8825, gps)]);
    block[4..8].copy_from_slice(&first.to_le_bytes());
    block
}

/// Returns files of the sample with this EXIF block.
fn files(block: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let image = sample();
    let (width, height) = image.dimensions();
    let (mut png, mut jpeg, mut webp) = (Vec::new(), Vec::new(), Vec::new());
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_exif_metadata(block.to_vec()).unwrap();
    encoder.write_image(&image, width, height, ExtendedColorType::Rgb8).unwrap();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.set_exif_metadata(block.to_vec()).unwrap();
    encoder.write_image(&image, width, height, ExtendedColorType::Rgb8).unwrap();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(block.to_vec()).unwrap();
    encoder.write_image(&image, width, height, ExtendedColorType::Rgb8).unwrap();
    [("PNG", png), ("JPEG", jpeg), ("WebP", webp)]
}

fn upright(orientation: u16) -> RgbImage {
    let mut image = DynamicImage::from(sample());
    image.apply_orientation(Orientation::from_exif(orientation as u8).unwrap());
    image.into_rgb8()
}

#[test]
fn every_orientation_is_applied_in_every_format() {
    for orientation in 1..=8 {
        for (name, file) in files(&exif(orientation, &[], &[])) {
            let expected = upright(orientation);
            let declared = image_dimensions(&file, &ImagePolicy::default()).unwrap();
            assert_eq!(declared, expected.dimensions(), "{name} {orientation}");
            let found = psnr(&read(&file).unwrap().image.into_rgb8(), &expected);
            assert!(found > 32.0, "{name} {orientation}: {found:.1} dB");
        }
    }
}

#[test]
fn time_and_place_are_noted() {
    let time = [text(0x9003, "2024:05:06 07:08:09"), text(0x9011, "+02:00"), text(0x9291, "25")];
    let gps = [
        text(1, "S"),
        fractions(2, &[(33, 1), (51, 1), (36, 1)]),
        text(3, "E"),
        fractions(4, &[(151, 1), (1250, 100), (0, 1)]),
        (5, 1, 1, vec![1]),
        fractions(6, &[(25, 2)]),
    ];
    // 05:08:09 UTC.
    let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(1_714_972_089_250);
    for (name, file) in files(&exif(1, &time, &gps)) {
        let notes = read(&file).unwrap().notes;
        assert_eq!(notes.captured_at, Some(expected), "{name}");
        let Some(Location { latitude, longitude, altitude }) = notes.location else { panic!("{name}") };
        assert!((latitude + 33.86).abs() < 1e-9 && (longitude - 151.208_333).abs() < 1e-6, "{name}");
        assert_eq!(altitude, Some(-12.5), "{name}");
    }
}

#[test]
fn a_time_without_offset_is_that_of_the_machine() {
    let time = [text(0x9003, "2024:05:06 07:08:09")];
    let [(_, file), ..] = files(&exif(1, &time, &[]));
    let expected = Local.with_ymd_and_hms(2024, 5, 6, 7, 8, 9).unwrap();
    assert_eq!(read(&file).unwrap().notes.captured_at, Some(expected.into()));
}

#[test]
fn what_a_camera_did_not_know_is_left_out() {
    let time = [text(0x9003, "0000:00:00 00:00:00")];
    let zero = [(0, 0); 3];
    let places: [Vec<Entry>; 4] = [
        vec![],
        vec![text(1, "N"), fractions(2, &zero), text(3, "E"), fractions(4, &zero)],
        vec![
            text(9, "V"),
            text(1, "N"),
            fractions(2, &[(1, 1); 3]),
            text(3, "E"),
            fractions(4, &[(1, 1); 3]),
        ],
        vec![text(1, "N"), fractions(2, &[(91, 1); 3]), text(3, "E"), fractions(4, &[(1, 1); 3])],
    ];
    for place in places {
        let [(_, file), ..] = files(&exif(1, &time, &place));
        let notes = read(&file).unwrap().notes;
        assert_eq!((notes.captured_at, notes.location), (None, None), "{place:?}");
        assert_eq!(notes.warnings, []);
    }
}

#[test]
fn a_damaged_block_is_a_warning() {
    let [(_, file), ..] = files(b"II*\0\x08\0\0\0\x09\0");
    let notes = read(&file).unwrap().notes;
    assert!(matches!(notes.warnings[..], [ImageWarning::DamagedExif { .. }]), "{:?}", notes.warnings);
}
