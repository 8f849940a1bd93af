//! Arbitrary bytes as an IDX file of images and of labels, plain and compressed.

#![no_main]

use std::path::PathBuf;

use lopside_encoder::source::{idx::read_labels, open_images_within};
use lopside_fuzz::{fuzz_target, write_file};
use lopside_input::InputLimits;

/// Magic numbers of images and of labels.
const MAGICS: [&[u8]; 3] = [b"", b"\0\0\x08\x03", b"\0\0\x08\x01"];

const LIMITS: InputLimits = InputLimits {
    max_pixels: 1 << 16,
    max_side: 1 << 10,
    max_values: 1 << 16,
    max_inputs: 1 << 10,
    max_file_bytes: 1 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    for magic in MAGICS {
        for name in ["a.idx", "a.idx.gz"] {
            read(&write_file(name, &[magic, bytes].concat()));
        }
    }
});

fn read(path: &PathBuf) {
    let _ = read_labels(path);
    let images = open_images_within(std::slice::from_ref(path), LIMITS).expect("the file exists");
    for (count, image) in (1_u64..).zip(images) {
        assert!(count <= LIMITS.max_inputs);
        let Ok(image) = image else { break };
        let (width, height) = (image.picture.width(), image.picture.height());
        assert!(u64::from(width) * u64::from(height) <= LIMITS.max_pixels, "{width} x {height}");
    }
}
