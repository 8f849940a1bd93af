//! Formats: recognised by content, read, or refused by name.

use std::{fs, path::Path};

use image::{Delay, DynamicImage, Frame, ImageFormat, codecs::gif::GifEncoder};
use lopside_input::{
    ImageFileError, ImagePolicy, ImageWarning, has_image_extension, is_image, read_image_file,
};

use crate::image_support::{encoded, grey_sample, psnr, read, sample};

#[test]
fn every_format_is_read_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let formats = [
        (ImageFormat::Png, 100.0),
        (ImageFormat::Jpeg, 30.0),
        (ImageFormat::WebP, 100.0),
        (ImageFormat::Bmp, 100.0),
        (ImageFormat::Tiff, 100.0),
        (ImageFormat::Gif, 25.0),
        (ImageFormat::Qoi, 100.0),
        (ImageFormat::Pnm, 100.0),
    ];
    for (format, db) in formats {
        for name in ["frame", "frame.jpg_", "frame.TXT", "frame.jpe"] {
            let path = folder.path().join(name);
            fs::write(&path, encoded(sample(), format)).unwrap();
            assert!(is_image(&path).unwrap(), "{format:?}");
            let read = read_image_file(&path, &ImagePolicy::default()).unwrap();
            let found = psnr(&read.image.into_rgb8(), &sample());
            assert!(found >= db, "{format:?} as {name}: {found:.1} dB");
        }
    }
    for name in ["a.png", "b.JPEG", "c.d.pgm", "e.JFIF", "f.tif"] {
        assert!(has_image_extension(Path::new(name)), "{name}");
    }
    for name in ["png", "a.npy", "a.png.gz", "a."] {
        assert!(!has_image_extension(Path::new(name)), "{name}");
    }
}

#[test]
fn formats_that_are_not_read_are_refused_by_name_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.jpg");
    let dng = [&b"II*\0\x08\0\0\0\x01\0"[..], &[0x12, 0xc6, 1, 0, 4, 0, 0, 0, 1, 4, 0, 0], &[0; 4]].concat();
    let cases: [(&[u8], &str, &str); 6] = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "heif-convert"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF", "avifdec"),
        (b"\xff\x0a\x00\x00", "JPEG XL", "djxl"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", "PNG"),
        (&dng, "raw format", "develop"),
        (b"8BPS\0\x01", "Photoshop", "export"),
    ];
    for (content, name, advice) in cases {
        fs::write(&path, content).unwrap();
        assert!(is_image(&path).unwrap(), "{name}");
        let error = read_image_file(&path, &ImagePolicy::default()).unwrap_err();
        assert!(matches!(error, ImageFileError::Unsupported { .. }), "{error}");
        assert_eq!(error.name(), "unsupported");
        assert!(error.to_string().contains(name) && error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn other_content_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    for content in [&b""[..], b"time,volts\n1,2\n", b"P1,P2\n1,2\n", b"BMW,Audi,Opel,Ford", b"%PDF-1.7"] {
        fs::write(&path, content).unwrap();
        assert!(!is_image(&path).unwrap(), "{content:?}");
        let error = read_image_file(&path, &ImagePolicy::default()).unwrap_err();
        assert!(matches!(error, ImageFileError::UnknownFormat { .. }), "{error}");
        assert!(error.to_string().contains("supply JPEG, PNG"), "{error}");
    }
    assert!(is_image(&folder.path().join("missing")).is_err());
}

#[test]
fn a_cut_file_of_any_format_is_refused_as_damaged() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::Qoi]
    {
        let file = encoded(sample(), format);
        let error = read(&file[..file.len() * 2 / 3]).unwrap_err();
        assert_eq!(error.name(), "damaged", "{format:?}: {error}");
        assert!(error.to_string().ends_with("Transfer the file again"), "{format:?}: {error}");
    }
}

#[test]
fn of_several_images_the_first_is_read_with_a_warning() {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    for image in [DynamicImage::from(sample()), DynamicImage::from(grey_sample())] {
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder.encode_frame(Frame::from_parts(image.into_rgba8(), 0, 0, delay)).unwrap();
    }
    drop(encoder);
    let several = read(&file).unwrap();
    assert_eq!(several.notes.warnings, [ImageWarning::FirstOfSeveral]);
    assert!(psnr(&several.image.into_rgb8(), &sample()) > 25.0);
    assert_eq!(read(&encoded(sample(), ImageFormat::Gif)).unwrap().notes.warnings, []);
}

#[test]
fn an_image_without_pixels_is_refused() {
    let files: [&[u8]; 5] = [
        b"P1\n0 1\n",
        b"P5 3 0 255\n",
        b"P6\n0 0\n255\n",
        b"P7\nWIDTH 0\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
        b"qoif\0\0\0\0\0\0\0\x01\x03\0\0\0\0\0\0\0\0\x01",
    ];
    for file in files {
        let error = read(file).unwrap_err();
        assert!(matches!(error, ImageFileError::NoPixels { .. } | ImageFileError::Decode(_)), "{error}");
        assert_eq!(error.name(), "invalid");
    }
}
