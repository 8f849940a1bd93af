//! The integration tests of `lopside-latent`, in one binary: linking one binary is much faster than linking
//! many.

// A test helper panics to fail its test.
#![allow(clippy::unwrap_used)]

mod frames;
mod pictures;
mod vectors;
