//! The memory that `edge-encoder` uses for a large photograph, to get a frame from a PNG file.
//!
//! This is the only test of its process, because the system keeps one figure for all children that have
//! ended.

// A test helper panics to fail its test.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use image::{
    ExtendedColorType, ImageEncoder as _, RgbImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
    imageops,
};
use lopside_e2e::{binary_command, in_clone, run_stdout};
use nix::sys::resource::{UsageWho, getrusage};

const IMAGE_SIZE: (u32, u32) = (4000, 3000);
const MAX_PEAK_BYTES: u64 = 150_000_000;

/// Returns the samples side by side, each next to its mirror image, so that no seam is sharper than a
/// photograph.
fn photograph() -> RgbImage {
    let samples = ["blossom", "tulips"].map(|name| {
        let sample = image::open(in_clone(&format!("samples/photo/{name}.png"))).unwrap().to_rgb8();
        [sample.clone(), imageops::flip_horizontal(&sample)]
    });
    let (width, height) = samples[0][0].dimensions();
    let mut photograph = RgbImage::new(IMAGE_SIZE.0, IMAGE_SIZE.1);
    for (row, y) in (0..IMAGE_SIZE.1).step_by(height as usize).enumerate() {
        for (column, x) in (0..IMAGE_SIZE.0).step_by(width as usize).enumerate() {
            let tile = &samples[(row + column / 2) % 2][column % 2];
            imageops::replace(&mut photograph, tile, i64::from(x), i64::from(y));
        }
    }
    photograph
}

fn save(photograph: &RgbImage, path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    PngEncoder::new_with_quality(file, CompressionType::Fast, FilterType::Adaptive)
        .write_image(photograph, IMAGE_SIZE.0, IMAGE_SIZE.1, ExtendedColorType::Rgb8)
        .unwrap();
}

/// Returns the maximum resident memory of any ended child process, in bytes. A child starts as a copy of this
/// process, so the peak of this process is included: the figure is never too low.
fn peak_child_bytes() -> u64 {
    let kib = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    1024 * u64::try_from(kib).unwrap()
}

#[test]
fn twelve_megapixels_take_at_most_150_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photograph.png");
    save(&photograph(), &path);
    for quality in ["50", "90"] {
        let mut encode = binary_command("edge-encoder");
        encode.args(["encode", "--quality", quality, "--bundle"]).arg(in_clone("bundles/photo"));
        let text = run_stdout(encode.arg("--out").arg(folder.path()).arg(&path));
        let peak = peak_child_bytes();
        println!("quality {quality}: {peak} bytes at most; {}", text.trim());
        assert!(peak <= MAX_PEAK_BYTES, "{peak} bytes at quality {quality}");
    }
}
