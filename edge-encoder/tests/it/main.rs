//! The integration tests of `edge-encoder`. They form one binary, because linking several takes longer.

// A helper that fails lets its test fail.
#![allow(clippy::panic, clippy::unwrap_used)]

mod commands;
mod doctor;
mod folders;
mod hostile_text;
mod liveness;
mod package;
mod proxy;
mod send;
mod source_reports;
mod sources;
mod start;
/// The bundle that the tests of the encoder also use.
#[path = "../../../crates/encoder/tests/it/support/mod.rs"]
mod support;
mod tables;
mod two_agents;
mod update;
