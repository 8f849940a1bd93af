//! The integration tests of `cloud-decoder`, in one binary, because linking one binary is much faster than
//! linking many.

// A helper that fails must fail its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod archive;
mod channels;
mod front;
mod image_codec;
mod openapi;
mod serving;
