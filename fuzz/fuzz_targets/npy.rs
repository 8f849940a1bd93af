//! Arbitrary bytes as an array of tensors or of images. Tensors have as many values as their dimensions, and all of
//! them are finite.

#![no_main]

use std::{io::Cursor, path::Path};

use lopside_encoder::source::{EncoderInput, numbers::read_tensors};
use lopside_fuzz::fuzz_target;

/// Dimensions of a scalar, of a row and of a small matrix.
const DIMENSIONS: [&[u32]; 3] = [&[], &[2], &[2, 3]];

fuzz_target!(|bytes: &[u8]| {
    for dims in DIMENSIONS {
        read(bytes, dims);
        // Most headers are of the first version, whose first bytes are then known.
        read(&[b"\x93NUMPY\x01\x00\x76\x00", bytes].concat(), dims);
    }
});

fn read(file: &[u8], dims: &[u32]) {
    let reader = Box::new(Cursor::new(file.to_vec()));
    let Ok(tensors) = read_tensors(Path::new("array.npy"), reader, dims) else { return };
    let value_count = dims.iter().product::<u32>() as usize;
    for tensor in tensors {
        let tensor = tensor.expect("an array that was read has no damaged tensors");
        let EncoderInput::Values(values) = tensor.input else { panic!("a tensor is an image") };
        assert_eq!(values.len(), value_count);
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
    }
}
