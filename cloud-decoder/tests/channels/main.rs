//! Bundles over the air: what channels offer, downloads, and a rollout while devices send.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod bundle;
mod check;
mod downloads;
mod offers;
mod rollout;
mod support;
