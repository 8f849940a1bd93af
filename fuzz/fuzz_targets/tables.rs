//! Arbitrary bytes as a table file, unchanged and after the right magic. A file that can be read must be
//! written as the same bytes again.

#![no_main]

use lopside_fuzz::fuzz_target;
use lopside_latent::Tables;

fuzz_target!(|bytes: &[u8]| {
    round_trip(bytes);
    round_trip(&[b"LPT\x01", bytes].concat());
});

fn round_trip(file: &[u8]) {
    let Ok(tables) = Tables::from_bytes(file) else { return };
    assert_eq!(tables.to_bytes(), file, "a table file has two encodings");
}
