//! Images that declare more than they may: refused by their header, before they are decoded.

use std::{fs::File, io::Cursor, path::Path};

use image::{GrayImage, ImageFormat, RgbImage};
use lopside_input::{
    ImageFileError, ImagePolicy, InputLimits, check_image_size, decode_image_bytes, image_dimensions,
    read_image,
};

/// Width and height that are declared: 169 megapixels.
const SIDE: u16 = 13_000;

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(16, 8).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Returns a small PNG file whose header declares another size.
fn huge_png() -> Vec<u8> {
    let mut file = encoded(ImageFormat::Png);
    // The first chunk begins behind the signature of 8 bytes: length, type, 13 bytes of content, checksum.
    file[16..20].copy_from_slice(&u32::from(SIDE).to_be_bytes());
    file[20..24].copy_from_slice(&u32::from(SIDE).to_be_bytes());
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

/// Returns the checksum of a PNG chunk (RFC 2083, appendix 15).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
            },
        )
    })
}

fn huge_jpeg() -> Vec<u8> {
    let mut file = encoded(ImageFormat::Jpeg);
    let size = file.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap() + 5;
    file[size..size + 2].copy_from_slice(&SIDE.to_be_bytes());
    file[size + 2..size + 4].copy_from_slice(&SIDE.to_be_bytes());
    file
}

fn huge_webp() -> Vec<u8> {
    let mut file = encoded(ImageFormat::WebP);
    let size = file.windows(4).position(|chunk| chunk == b"VP8L").unwrap() + 9;
    let header = u32::from_le_bytes(file[size..size + 4].try_into().unwrap());
    // Width and height are stored minus one, in 14 bits each.
    let side = u32::from(SIDE) - 1;
    let header = (header & !((1 << 28) - 1)) | side | (side << 14);
    file[size..size + 4].copy_from_slice(&header.to_le_bytes());
    file
}

fn decode(bytes: &[u8], limits: &InputLimits) -> Result<(), ImageFileError> {
    let policy = ImagePolicy::with_limits(*limits);
    let dimensions = image_dimensions(bytes, &policy);
    let read = decode_image_bytes(bytes, &policy);
    assert_eq!(dimensions.is_ok(), read.is_ok(), "the header decides");
    read.map(drop)
}

#[test]
fn an_image_that_declares_too_many_pixels_is_refused_with_the_limit_in_every_format() {
    let pnm = |magic: &str| format!("{magic}\n{SIDE} {SIDE}\n255\n").into_bytes();
    let files = [huge_png(), huge_jpeg(), huge_webp(), pnm("P5"), pnm("P6"), pnm("P2")];
    for (index, file) in files.into_iter().enumerate() {
        let error = decode(&file, &InputLimits::default()).unwrap_err();
        assert!(
            matches!(
                error,
                ImageFileError::TooManyPixels { width: 13_000, height: 13_000, limit: 40_000_000 }
            ),
            "{index}: {error}"
        );
        assert!(error.to_string().contains("limit of 40000000 pixels per image: scale it down"), "{error}");
    }
}

#[test]
fn a_caller_may_lower_the_limits() {
    let file = encoded(ImageFormat::Png);
    let with = |max_pixels, max_side| InputLimits { max_pixels, max_side, ..InputLimits::default() };
    assert!(decode(&file, &with(128, 16)).is_ok());
    assert!(matches!(
        decode(&file, &with(127, 16)),
        Err(ImageFileError::TooManyPixels { width: 16, height: 8, limit: 127 })
    ));
    assert!(matches!(
        decode(&file, &with(128, 15)),
        Err(ImageFileError::SideTooLong { width: 16, height: 8, limit: 15 })
    ));
}

#[test]
fn an_image_of_one_row_is_limited_by_its_side() {
    let limits = InputLimits::default();
    assert!(check_image_size(32_768, 1, &limits).is_ok());
    for (width, height) in [(32_769, 1), (1, 32_769), (u32::MAX, u32::MAX)] {
        let error = check_image_size(width, height, &limits).unwrap_err();
        assert!(matches!(error, ImageFileError::SideTooLong { limit: 32_768, .. }), "{error}");
    }
}

#[test]
fn a_file_longer_than_any_image_of_the_allowed_size_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.jpg");
    // A sparse file.
    File::create(&path).unwrap().set_len(1 << 32).unwrap();
    let error = read_image(&path, &InputLimits::default()).unwrap_err();
    assert!(matches!(error, ImageFileError::FileTooLong { bytes, .. } if bytes == 1 << 32), "{error}");
}

#[test]
fn a_file_that_is_read_keeps_its_errors_apart() {
    let missing = read_image(Path::new("no/such.png"), &InputLimits::default()).unwrap_err();
    assert!(matches!(missing, ImageFileError::Io(_)), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, "no image").unwrap();
    let unknown = read_image(&path, &InputLimits::default()).unwrap_err();
    assert!(matches!(unknown, ImageFileError::UnknownFormat { .. }), "{unknown}");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
    let invalid = read_image(&path, &InputLimits::default()).unwrap_err();
    assert!(matches!(invalid, ImageFileError::Decode(_)), "{invalid}");
    GrayImage::new(3, 2).save(&path).unwrap();
    assert_eq!(read_image(&path, &InputLimits::default()).unwrap().width(), 3);
}
