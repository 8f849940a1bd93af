//! The integration tests of `lopside-e2e`, in one binary: linking one binary is much faster than linking
//! many.

// A test helper panics to fail its test.
#![allow(clippy::expect_used, clippy::float_cmp, clippy::panic, clippy::unwrap_used)]

mod aarch64;
mod demo;
mod documents;
mod edge;
mod features;
mod front;
mod generated_clients;
mod heads;
mod imports;
mod inputs;
mod latents;
mod metrics;
mod neutral;
mod outage;
mod own_model;
mod photo;
mod reliability;
mod schemathesis;
mod slips;
mod split_service;
mod telemetry;
mod training;
mod tritonclient;
