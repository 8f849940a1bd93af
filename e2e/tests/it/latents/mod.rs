//! Bundles of fixed latents as their users meet them, from models made here: heads that score, windows of
//! measurements, tensors, latents of several layers.

mod layers;
mod scores;
mod series;
mod tensors;
mod toy;
