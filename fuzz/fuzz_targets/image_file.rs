//! Arbitrary bytes as an image of each format. An image that is decoded is within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lopside_fuzz::write_file;
use lopside_input::{IMAGE_EXTENSIONS, InputLimits, read_image};

const LIMITS: InputLimits = InputLimits {
    max_pixels: 1 << 16,
    max_side: 1 << 10,
    max_values: 1 << 16,
    max_inputs: 1,
    max_file_bytes: 1 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    // The first byte selects the extension, and the content decides about the format where it is unmistakable.
    let Some((selector, content)) = bytes.split_first() else { return };
    let extension = IMAGE_EXTENSIONS[usize::from(*selector) % IMAGE_EXTENSIONS.len()];
    let path = write_file(&format!("a.{extension}"), content);
    if let Ok(image) = read_image(&path, &LIMITS) {
        let (width, height) = (image.width(), image.height());
        assert!(width > 0 && height > 0 && width.max(height) <= LIMITS.max_side, "{width} x {height}");
        assert!(u64::from(width) * u64::from(height) <= LIMITS.max_pixels, "{width} x {height}");
    }
});
