//! The model server: batches, bundles that change, the Open Inference Protocol.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batching;
mod bundles;
mod protocol;
mod repository;
mod support;
