//! The integration tests of `lopside-capture`. They form one binary, because linking several takes longer.

// A helper that fails lets its test fail.
#![allow(clippy::unwrap_used)]

mod command;
mod common;
mod folder;
mod folder_changes;
mod interrupted;
mod stream;
mod tail;
