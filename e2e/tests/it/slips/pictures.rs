//! Input images and their frames. All frames are different, so a frame shows which image it was made of.

use std::{collections::HashSet, fs, path::PathBuf, sync::LazyLock};

use image::{GrayImage, imageops};
use lopside_e2e::{encode_samples, in_clone};

/// Number of images: the samples, turned in four ways.
const PICTURE_COUNT: usize = 64;

static FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(encode_all);

/// Returns the image with this number.
pub(super) fn picture(number: usize) -> GrayImage {
    let entries = fs::read_dir(in_clone("samples/fashion")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "png")).collect();
    paths.sort();
    let sample = image::open(&paths[number % paths.len()]).unwrap().to_luma8();
    match number / paths.len() {
        0 => sample,
        1 => imageops::rotate90(&sample),
        2 => imageops::rotate180(&sample),
        3 => imageops::rotate270(&sample),
        _ => panic!("there is no image {number}"),
    }
}

/// Returns the expected frames of all images, as `edge-encoder encode` makes them.
pub(super) fn frames() -> &'static [Vec<u8>] {
    &FRAMES
}

fn encode_all() -> Vec<Vec<u8>> {
    let (images, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for number in 0..PICTURE_COUNT {
        picture(number).save(images.path().join(format!("{number:03}.png"))).unwrap();
    }
    let frames = encode_samples(images.path().to_str().unwrap(), out.path());
    let different = frames.iter().collect::<HashSet<_>>().len();
    assert_eq!((frames.len(), different), (PICTURE_COUNT, PICTURE_COUNT), "frames, and different ones");
    frames
}
