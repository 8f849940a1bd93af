//! The integration tests of `edge-encoder`, in one binary: linking one costs a fraction of linking many.

// A helper that cannot go on fails its test.
#![allow(clippy::panic, clippy::unwrap_used)]

mod commands;
mod pictures;
mod shipped;
mod support;
mod update;
