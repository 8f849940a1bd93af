//! The photo codec's model: pictures of any size, every quality, a linear encoder of about 1 kMAC a pixel.

pub mod lapped;
mod average;
mod mirror;
pub mod model;
pub mod spec;
mod train;
pub mod transform;
pub mod trunk;

pub use train::{PhotoOptions, train};
