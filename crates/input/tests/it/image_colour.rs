//! Colour spaces, transparency and depth: what a viewer shows, in sRGB.

use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder as _, ImageFormat, Luma, Rgb, RgbImage, Rgba,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};
use lopside_input::{ImagePolicy, ImageWarning, decode_image_bytes};
use moxcms::ColorProfile;

use crate::image_support::{encoded, grey_sample, insert_before, psnr, read, sample};

/// Returns a chunk of a PNG file.
fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    let checksum = !body.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
            },
        )
    });
    [&(data.len() as u32).to_be_bytes()[..], &body, &checksum.to_be_bytes()].concat()
}

/// Returns a PNG file with chunks before its pixels.
fn png_with(image: impl Into<DynamicImage>, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = encoded(image, ImageFormat::Png);
    let chunks: Vec<u8> = chunks.iter().flat_map(|&(kind, data)| chunk(*kind, data)).collect();
    // Behind the signature and the header.
    file.splice(33..33, chunks);
    file
}

fn with_profile(profile: &ColorProfile) -> [Vec<u8>; 2] {
    let (image, profile) = (sample(), profile.encode().unwrap());
    let (mut png, mut jpeg) = (Vec::new(), Vec::new());
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.write_image(&image, 83, 61, ExtendedColorType::Rgb8).unwrap();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 97);
    encoder.set_icc_profile(profile).unwrap();
    encoder.write_image(&image, 83, 61, ExtendedColorType::Rgb8).unwrap();
    [png, jpeg]
}

fn pixels(file: &[u8]) -> RgbImage {
    let read = read(file).unwrap();
    assert_eq!(read.notes.warnings, []);
    read.image.into_rgb8()
}

/// Converts a sample by the curve and the matrix of a colour space, in floating point.
fn expected(linear: impl Fn(f64) -> f64, matrix: [[f64; 3]; 3]) -> RgbImage {
    let mut image = sample();
    for pixel in image.pixels_mut() {
        let light = pixel.0.map(|sample| linear(f64::from(sample) / 255.0));
        pixel.0 = matrix.map(|row| {
            let light = row.iter().zip(light).map(|(weight, light)| weight * light).sum::<f64>();
            let light = light.clamp(0.0, 1.0);
            let value =
                if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (value * 255.0).round() as u8
        });
    }
    image
}

fn srgb_light(value: f64) -> f64 {
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

const IDENTITY: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// From Display P3 to sRGB, both with the white point D65.
const P3_TO_SRGB: [[f64; 3]; 3] =
    [[1.224_94, -0.224_94, 0.0], [-0.042_057, 1.042_057, 0.0], [-0.019_638, -0.078_636, 1.098_274]];

#[test]
fn a_profile_is_applied_and_that_of_srgb_changes_nothing() {
    let wide = expected(srgb_light, P3_TO_SRGB);
    assert!(psnr(&wide, &sample()) < 30.0, "the test must see a difference");
    for file in with_profile(&ColorProfile::new_display_p3()) {
        let found = psnr(&pixels(&file), &wide);
        assert!(found > 36.0, "{found:.1} dB");
    }
    let [png, _] = with_profile(&ColorProfile::new_srgb());
    assert_eq!(pixels(&png), sample());
}

#[test]
fn gamma_and_code_points_of_png_are_applied() {
    let gamma = |value: u32| png_with(sample(), &[(b"gAMA", &value.to_be_bytes())]);
    assert_eq!(pixels(&gamma(45_455)), sample(), "what every writer of sRGB declares");
    let found = psnr(&pixels(&gamma(100_000)), &expected(|value| value, IDENTITY));
    assert!(found > 45.0, "{found:.1} dB");
    // sRGB comes before a gamma, and code points before sRGB.
    let linear = 100_000_u32.to_be_bytes();
    assert_eq!(pixels(&png_with(sample(), &[(b"sRGB", &[0]), (b"gAMA", &linear)])), sample());
    let wide = png_with(sample(), &[(b"cICP", &[12, 13, 0, 1]), (b"sRGB", &[0])]);
    let found = psnr(&pixels(&wide), &expected(srgb_light, P3_TO_SRGB));
    assert!(found > 45.0, "{found:.1} dB");
}

#[test]
fn high_dynamic_range_is_reduced_with_a_warning() {
    for (transfer, name, white) in [(16, "PQ", 148), (18, "HLG", 191)] {
        let image = RgbImage::from_fn(2, 1, |x, _| Rgb([[0, white][x as usize]; 3]));
        let read = read(&png_with(image, &[(b"cICP", &[9, transfer, 0, 1])])).unwrap();
        assert_eq!(read.notes.warnings, [ImageWarning::HighDynamicRange { transfer: name }]);
        let image = read.image.into_rgb8();
        assert_eq!(image.get_pixel(0, 0), &Rgb([0; 3]), "{name}");
        // White text of a broadcast is white, within the rounding of the file.
        assert!(image.get_pixel(1, 0).0.iter().all(|&sample| sample > 245), "{name}: {image:?}");
    }
}

#[test]
fn a_damaged_profile_is_a_warning() {
    let file = encoded(sample(), ImageFormat::Jpeg);
    let segment = [&[0xff, 0xe2, 0, 22][..], b"ICC_PROFILE\0\x01\x01", b"absurd"].concat();
    let read = read(&insert_before(&file, [0xff, 0xdb], &segment)).unwrap();
    assert!(matches!(read.notes.warnings[..], [ImageWarning::ColourProfileIgnored { .. }]));
    assert_eq!(read.image, image::load_from_memory(&file).unwrap());
}

#[test]
fn a_profile_that_cannot_be_decompressed_is_a_warning() {
    let file = png_with(sample(), &[(b"iCCP", b"own\0\0absurd")]);
    let read = read(&file).unwrap();
    assert!(matches!(read.notes.warnings[..], [ImageWarning::ColourProfileIgnored { .. }]));
    assert_eq!(read.image, DynamicImage::from(sample()));
}

#[test]
fn grey_stays_grey_in_any_colour_space() {
    let file = png_with(grey_sample(), &[(b"cICP", &[12, 13, 0, 1])]);
    let image = read(&file).unwrap().image;
    assert_eq!(image, DynamicImage::from(grey_sample()), "the primaries do not matter for grey");
    let dark = png_with(grey_sample(), &[(b"gAMA", &60_000_u32.to_be_bytes())]);
    let image = read(&dark).unwrap().image;
    assert!(!image.color().has_color() && image != DynamicImage::from(grey_sample()));
}

#[test]
fn transparent_pixels_show_the_background() {
    let image = ImageBuffer::from_fn(3, 1, |x, _| Rgba([200_u8, 0, 90, [0, 128, 255][x as usize]]));
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Qoi] {
        let file = encoded(image.clone(), format);
        let read = |background| {
            let policy = ImagePolicy { background, ..ImagePolicy::default() };
            decode_image_bytes(&file, &policy).unwrap().image
        };
        let white = RgbImage::from_raw(3, 1, vec![255, 255, 255, 227, 127, 172, 200, 0, 90]).unwrap();
        assert_eq!(read([255; 3]), DynamicImage::from(white), "{format:?}");
        let DynamicImage::ImageRgb8(blue) = read([0, 0, 255]) else { panic!("{format:?}") };
        assert_eq!(blue.get_pixel(0, 0), &Rgb([0, 0, 255]), "{format:?}");
    }
}

#[test]
fn samples_are_stretched_to_their_range_if_the_file_says_how_far_they_go() {
    let pgm = [&b"P5\n# a sensor of 12 bits\n2 1\n4095\n"[..], &[0x0f, 0xff, 0x00, 0x00]].concat();
    assert_eq!(read(&pgm).unwrap().image.into_luma16().into_raw(), [65_535, 0]);
    let sensor = ImageBuffer::from_fn(2, 1, |x, _| Luma([[4095_u16, 7][x as usize]]));
    let file = png_with(DynamicImage::ImageLuma16(sensor.clone()), &[(b"sBIT", &[12])]);
    assert_eq!(read(&file).unwrap().image.into_luma16().into_raw(), [65_535, 112]);
    let plain = encoded(DynamicImage::ImageLuma16(sensor), ImageFormat::Png);
    assert_eq!(read(&plain).unwrap().image.into_luma16().into_raw(), [4095, 7]);
}
