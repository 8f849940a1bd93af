//! Images without colour, in every colour type that files have, through both encoders of the bundle `photo`.

use super::{
    shipped::{in_clone, shipped_photo_bundle},
    support::hash,
};
use image::{
    DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage,
};
use lopside_encoder::{ImageCodecEncoder, ImageCodecOptions};
use lopside_latent::{
    Limits,
    image_codec::{ImageCodecFrame, ImageCodecHeader, Quality},
};

const SIZE: [u32; 2] = [77, 53];

fn encoders() -> [(&'static str, ImageCodecEncoder); 2] {
    let bundle = shipped_photo_bundle();
    [
        ("normal", ImageCodecEncoder::new(&bundle).unwrap()),
        ("fast", ImageCodecEncoder::new_fast(&bundle).unwrap()),
    ]
}

fn encode(encoder: &ImageCodecEncoder, image: &DynamicImage, quality: u8) -> Vec<u8> {
    encoder.encode(image, &ImageCodecOptions::new(Quality::new(quality).unwrap())).unwrap().frame
}

fn header(frame: &[u8]) -> ImageCodecHeader {
    ImageCodecFrame::parse(frame, &Limits::default(), None).unwrap().header
}

/// Returns the level of a pixel of a scene with smooth parts, an edge and noise.
fn level(x: u32, y: u32) -> u8 {
    let edge = if x > y { 60 } else { 0 };
    (60 + x + y / 2 + edge + hash(x + 977 * y) % 9) as u8
}

fn rgb(pixel: impl Fn(u32, u32) -> [u8; 3]) -> DynamicImage {
    RgbImage::from_fn(SIZE[0], SIZE[1], |x, y| Rgb(pixel(x, y))).into()
}

/// Returns the scene in every colour type.
fn scenes() -> Vec<DynamicImage> {
    let [width, height] = SIZE;
    let deep = |x: u32, y: u32| 257 * u16::from(level(x, y));
    vec![
        GrayAlphaImage::from_fn(width, height, |x, y| LumaA([level(x, y), 255])).into(),
        DynamicImage::ImageLuma16(ImageBuffer::from_fn(width, height, |x, y| Luma([deep(x, y)]))),
        DynamicImage::ImageLumaA16(ImageBuffer::from_fn(width, height, |x, y| LumaA([deep(x, y), 65535]))),
        rgb(|x, y| [level(x, y); 3]),
        RgbaImage::from_fn(width, height, |x, y| {
            let level = level(x, y);
            Rgba([level, level, level, 255])
        })
        .into(),
        DynamicImage::ImageRgb16(ImageBuffer::from_fn(width, height, |x, y| Rgb([deep(x, y); 3]))),
    ]
}

#[test]
fn equal_grey_images_have_equal_frames_in_every_colour_type() {
    let grey = GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| Luma([level(x, y)])).into();
    for (name, encoder) in encoders() {
        for quality in [20, 90] {
            let expected = encode(&encoder, &grey, quality);
            assert!(header(&expected).is_grey);
            for scene in scenes() {
                let frame = encode(&encoder, &scene, quality);
                assert!(frame == expected, "{name}, quality {quality}: {:?}", scene.color());
            }
        }
    }
}

#[test]
fn invisible_differences_are_no_colour_and_one_visible_pixel_is() {
    let tinted = rgb(|x, y| {
        let level = level(x, y);
        [level + (hash(x + y) % 3) as u8, level, level + 1]
    });
    let dotted = rgb(|x, y| if [x, y] == [40, 20] { [255, 200, 0] } else { [level(x, y); 3] });
    for (name, encoder) in encoders() {
        assert!(header(&encode(&encoder, &tinted, 50)).is_grey, "{name}");
        assert!(!header(&encode(&encoder, &dotted, 50)).is_grey, "{name}");
    }
}

#[test]
fn photographs_stay_in_colour() {
    let [(_, encoder), _] = encoders();
    let image = image::open(in_clone("bundles/photo/golden/tulips-192x128.png")).unwrap();
    let frame = encode(&encoder, &image, 50);
    assert!(!header(&frame).is_grey);
}
