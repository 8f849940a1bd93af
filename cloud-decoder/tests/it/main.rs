//! The integration tests of `cloud-decoder`, in one binary: linking one costs a fraction of linking many.

// A helper that cannot go on fails its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod archive;
mod channels;
mod front;
mod openapi;
mod pictures;
mod serving;
