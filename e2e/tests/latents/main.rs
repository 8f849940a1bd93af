//! Bundles of fixed latents as their users meet them, from models made here: heads that score, windows of
//! measurements, tensors, latents of several layers.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

mod layers;
mod scores;
mod series;
mod tensors;
mod toy;
