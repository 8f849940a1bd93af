//! The integration tests of `training`, in one binary: linking one costs a fraction of linking many.

// A helper that cannot go on fails its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod data;
mod fp16;
mod golden;
mod objectives;
mod own;
mod pytorch;
mod seed;
mod served;
