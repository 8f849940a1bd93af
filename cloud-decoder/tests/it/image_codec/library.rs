//! [`ImageCodecDecoder`]: the serving path without a server.

use image::ColorType;
use lopside_decoder::{DecodeError, Device, ImageCodecDecoder, Runtime};
use lopside_latent::{LatentError, Limits, image_codec::truncate_layers};
use tempfile::tempdir;

use super::{
    bundles::{TestImage, fixed_latent, photo, write_photo},
    onnxruntime,
};

fn runtime() -> Runtime {
    Runtime::load(&onnxruntime(), Device::Cpu, 1).unwrap()
}

#[test]
fn images_of_any_size_are_decoded_cropped_in_colour_and_grey() {
    let folder = tempdir().unwrap();
    let bundle = photo(folder.path());
    let mut decoder = ImageCodecDecoder::new(&runtime(), &bundle, "").unwrap();
    for (size, grey) in [([13, 10], false), ([1, 1], false), ([8, 4], true), ([5, 1030], true)] {
        let test_image = TestImage::new(&bundle.space, size, grey);
        let image = decoder.decode(&test_image.frame(&bundle.space)).unwrap();
        assert_eq!([image.width(), image.height()], size);
        assert_eq!(image.color(), if grey { ColorType::L8 } else { ColorType::Rgb8 });
        assert_eq!(image.as_bytes(), test_image.samples(2), "{size:?}");
    }
}

#[test]
fn a_missing_layer_is_zeros() {
    let folder = tempdir().unwrap();
    let bundle = photo(folder.path());
    let test_image = TestImage::new(&bundle.space, [13, 10], false);
    let frame = truncate_layers(&test_image.frame(&bundle.space), 1, &Limits::default(), None).unwrap();
    let mut decoder = ImageCodecDecoder::new(&runtime(), &bundle, "plain").unwrap();
    assert_eq!(decoder.decode(&frame).unwrap().as_bytes(), test_image.samples(1));
}

#[test]
fn a_head_may_enlarge() {
    let folder = tempdir().unwrap();
    let bundle = photo(folder.path());
    let test_image = TestImage::new(&bundle.space, [7, 3], false);
    let mut decoder = ImageCodecDecoder::new(&runtime(), &bundle, "double").unwrap();
    let image = decoder.decode(&test_image.frame(&bundle.space)).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (14, 6));
    for (x, y, pixel) in image.enumerate_pixels() {
        let expected =
            test_image.pixel(2, x as usize / 2, y as usize / 2).map(|value| value.clamp(0, 255) as u8);
        assert_eq!(pixel.0, expected, "{x}, {y}");
    }
}

#[test]
fn invalid_and_foreign_frames_are_refused() {
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    let bundle = photo(folder.path());
    let limits = Limits { max_pixels: 130, ..Limits::default() };
    let mut decoder = ImageCodecDecoder::new(&runtime(), &bundle, "").unwrap().with_limits(limits);
    let frame = |size| TestImage::new(&bundle.space, size, false).frame(&bundle.space);
    assert!(decoder.decode(&frame([13, 10])).is_ok());
    let mut damaged = frame([13, 10]);
    damaged[20] ^= 1;
    for frame in [damaged, frame([131, 1]), frame([1, 129])] {
        let error = decoder.decode(&frame).unwrap_err();
        assert!(
            matches!(
                error,
                DecodeError::InvalidFrame { index: 0, source: LatentError::Checksum { .. } }
                    | DecodeError::ImageTooLarge { index: 0, source: LatentError::Limit { .. } }
            ),
            "{error}"
        );
    }
    let error = decoder.decode(&fixed_latent(other.path())).unwrap_err();
    assert!(matches!(error, DecodeError::WrongFrameVersion { found: 1, expected: 2, .. }), "{error}");
}

#[test]
fn a_head_that_contradicts_its_description_is_refused() {
    let folder = tempdir().unwrap();
    let bundle = write_photo(folder.path(), 3);
    let error = ImageCodecDecoder::new(&runtime(), &bundle, "plain").unwrap_err().to_string();
    assert!(error.contains("produced 48 values for \"picture\" instead of 432"), "{error}");
    let error = ImageCodecDecoder::new(&runtime(), &bundle, "sharp").unwrap_err().to_string();
    assert!(error.contains("it has plain, double"), "{error}");
}
