//! The integration tests of `training` in one binary, because linking one takes a fraction of the time of many.

// A helper that fails makes its test fail.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod data_packages;
mod external_model;
mod fp16;
mod golden;
mod pytorch;
mod served;
