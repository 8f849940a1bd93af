//! Arbitrary bytes as an image of any format, by each policy. An image that is read is within the limits, has the size that
//! its header declares, no alpha channel, and no damage unless that is allowed. A file is read as its bytes are.

#![no_main]

use lopside_fuzz::{fuzz_target, write_file};
use lopside_input::{
    DamagedImages, ImagePolicy, InputLimits, decode_image_bytes, image_dimensions, read_image_file,
};

const LIMITS: InputLimits = InputLimits {
    max_pixels: 1 << 16,
    max_side: 1 << 10,
    max_values: 1 << 16,
    max_inputs: 1,
    max_file_bytes: 1 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((selector, content)) = bytes.split_first() else { return };
    let refusing = ImagePolicy { limits: LIMITS, background: [*selector; 3], damaged: DamagedImages::Refuse };
    let marking = ImagePolicy { damaged: DamagedImages::Mark, ..refusing };
    let policy = if selector & 1 == 0 { refusing } else { marking };
    let read = decode_image_bytes(content, &policy);
    let of_file = read_image_file(&write_file("a", content), &policy);
    assert_eq!(of_file.as_ref().ok(), read.as_ref().ok(), "a file is not read as its bytes are");
    let read = match read {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let (width, height) = (read.image.width(), read.image.height());
    assert!(width > 0 && height > 0 && width.max(height) <= LIMITS.max_side, "{width} x {height}");
    assert!(u64::from(width) * u64::from(height) <= LIMITS.max_pixels, "{width} x {height}");
    assert_eq!(image_dimensions(content, &policy).ok(), Some((width, height)));
    assert!(!read.image.color().has_alpha(), "{:?}", read.image.color());
    assert!(!read.notes.damaged || policy.damaged == DamagedImages::Mark, "the damage is not refused");
    if !read.notes.damaged {
        let other = if selector & 1 == 0 { marking } else { refusing };
        assert_eq!(
            decode_image_bytes(content, &other).ok(),
            Some(read),
            "the policy changes an undamaged image"
        );
    }
});
