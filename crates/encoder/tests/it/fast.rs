//! The fast encoder of the bundle `photo` above the qualities at which it is useful.

use super::{
    shipped::{in_clone, shipped_photo_bundle},
    support::hash,
};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use lopside_encoder::{ImageCodecEncoder, ImageCodecOptions};
use lopside_latent::{
    Limits,
    image_codec::{ImageCodecFrame, Quality},
};

fn encode(encoder: &ImageCodecEncoder, image: &DynamicImage, quality: u8) -> Vec<u8> {
    encoder.encode(image, &ImageCodecOptions::new(Quality::new(quality).unwrap())).unwrap().frame
}

fn quality_of(frame: &[u8]) -> u8 {
    ImageCodecFrame::parse(frame, &Limits::default(), None).unwrap().header.quality.get()
}

fn fast() -> ImageCodecEncoder {
    ImageCodecEncoder::new_fast(&shipped_photo_bundle()).unwrap()
}

/// Returns an image whose detail halving removes: noise in colour or grey.
fn noise(is_grey: bool) -> DynamicImage {
    let sample = |x: u32, y: u32, channel: u32| (64 + hash(x + 977 * y + channel) % 128) as u8;
    if is_grey {
        return GrayImage::from_fn(120, 90, |x, y| Luma([sample(x, y, 0)])).into();
    }
    RgbImage::from_fn(120, 90, |x, y| Rgb([0, 1, 2].map(|channel| sample(x, y, channel << 20)))).into()
}

#[test]
fn a_photograph_with_fine_detail_does_not_cost_more_than_with_the_normal_encoder() {
    let image = image::open(in_clone("samples/photo/blossom.png")).unwrap();
    let (fast, normal) = (fast(), ImageCodecEncoder::new(&shipped_photo_bundle()).unwrap());
    let frame = encode(&fast, &image, 90);
    assert!((50..70).contains(&quality_of(&frame)), "{}", quality_of(&frame));
    // The image of the normal encoder at quality 50 is better by several dB.
    let normal = encode(&normal, &image, 50);
    assert!(frame.len() < normal.len(), "{} {}", frame.len(), normal.len());
}

#[test]
fn noise_has_at_most_quality_50() {
    let fast = fast();
    for image in [noise(false), noise(true)] {
        let frames: Vec<Vec<u8>> = [50, 51, 100].map(|quality| encode(&fast, &image, quality)).into();
        assert!(frames.iter().all(|frame| quality_of(frame) == 50));
        assert!(frames.iter().all(|frame| *frame == frames[0]));
    }
}

#[test]
fn the_requested_quality_is_kept_where_it_is_useful() {
    let fast = fast();
    let smooth = GrayImage::from_fn(120, 90, |x, y| Luma([(x + y) as u8])).into();
    assert_eq!([1, 50, 75, 90].map(|quality| quality_of(&encode(&fast, &smooth, quality))), [1, 50, 75, 90]);
    let noise = noise(false);
    assert_eq!([1, 30, 49].map(|quality| quality_of(&encode(&fast, &noise, quality))), [1, 30, 49]);
    // The normal encoder sees all detail.
    let normal = ImageCodecEncoder::new(&shipped_photo_bundle()).unwrap();
    assert_eq!(quality_of(&encode(&normal, &noise, 100)), 100);
}
