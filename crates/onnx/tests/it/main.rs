//! The integration tests of `lopside-onnx`, in one binary: linking one binary is much faster than linking
//! many.

// A test helper panics to fail its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod cuts;
mod external;
mod foreign;
