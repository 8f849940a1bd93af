//! The integration tests of `lopside-onnx`, in one binary: linking one costs a fraction of linking many.

// A helper that cannot go on fails its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod cuts;
mod foreign;
