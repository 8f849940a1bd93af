//! The integration tests of `lopside-encoder`. They form one binary, because linking several takes longer.

// A helper that fails lets its test fail.
#![allow(clippy::panic, clippy::unwrap_used)]

mod fast;
mod golden;
mod image_codec;
mod inputs;
mod limits;
mod neutral;
mod shipped;
mod support;
