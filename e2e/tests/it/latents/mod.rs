//! Bundles of fixed latents through the real binaries, with models created by the tests: score heads, windows
//! of time series, tensors, latents with several layers.

mod layers;
mod scores;
mod series;
mod tensors;
pub(crate) mod toy;
