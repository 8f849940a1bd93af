//! Arbitrary bytes as a stream of images: MJPEG, PNM, PNG, Y4M, raw samples, and whatever the first bytes say. No image exceeds
//! the limit, and the images do not depend on the pieces in which the bytes arrive.

#![no_main]

use std::io::{self, Read};

use lopside_capture::stream::{ImageStreamOptions, ImageStreamReader, RawFormat, RawLayout, StreamFormat};
use lopside_fuzz::fuzz_target;
use lopside_input::InputLimits;

/// Maximum number of bytes per image.
const MAX_IMAGE_BYTES: usize = 1 << 14;

const DECODER_LIMITS: InputLimits = InputLimits {
    max_pixels: 1 << 14,
    max_side: 1 << 9,
    max_values: 1 << 14,
    max_inputs: 1,
    max_file_bytes: 1 << 20,
};

/// A reader that returns at most a number of bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    piece_bytes: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece_bytes.min(self.rest.len()).min(buffer.len());
        let (piece, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.rest = rest;
        Ok(count)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [selector, piece_bytes, stream @ ..] = bytes else { return };
    let raw = |format| StreamFormat::Raw(RawLayout::new(4, 2, format).expect("the layout is valid"));
    let format = match selector % 8 {
        0 => StreamFormat::Auto,
        1 => StreamFormat::Mjpeg,
        2 => StreamFormat::Pnm,
        3 => StreamFormat::Png,
        4 => StreamFormat::Y4m,
        5 => raw(RawFormat::Rgb24),
        6 => raw(RawFormat::Nv12),
        _ => raw(RawFormat::Yuyv),
    };
    let whole = images(stream, format, usize::MAX);
    let in_pieces = images(stream, format, usize::from(*piece_bytes).max(1));
    assert_eq!(whole, in_pieces, "the images depend on the pieces");
});

/// Returns the bytes of all images, and the number of bytes that were skipped or refused.
fn images(stream: &[u8], format: StreamFormat, piece_bytes: usize) -> (Vec<Vec<u8>>, String) {
    let options = ImageStreamOptions { format, max_image_bytes: MAX_IMAGE_BYTES };
    let pieces = Pieces { rest: stream, piece_bytes };
    let mut reader = ImageStreamReader::new(pieces, options).expect("the options are valid");
    let mut images = Vec::new();
    while let Ok(Some(image)) = reader.next_image() {
        let bytes = image.bytes().expect("an image of a stream has bytes").to_vec();
        assert!(bytes.len() <= MAX_IMAGE_BYTES, "an image has {} bytes", bytes.len());
        if let Ok(decoded) = image.decode_within(&DECODER_LIMITS) {
            assert!(u64::from(decoded.width()) * u64::from(decoded.height()) <= DECODER_LIMITS.max_pixels);
        }
        images.push(bytes);
    }
    (images, format!("{:?}", reader.input_counts()))
}
