//! The integration tests of `edge-encoder`. They form one binary, because linking several takes longer.

// A helper that fails lets its test fail.
#![allow(clippy::panic, clippy::unwrap_used)]

mod commands;
mod pictures;
mod shipped;
mod support;
mod update;
