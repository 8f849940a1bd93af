//! The photo codec's model: pictures of any size, every quality, a linear encoder of about 1 kMAC a pixel.

mod average;
mod bundle;
mod calibrate;
mod card;
mod evaluate;
mod export;
mod fit;
pub mod lapped;
mod mirror;
pub mod model;
mod own;
pub mod spec;
mod statistics;
pub(crate) mod steps;
mod train;
pub mod transform;
pub mod trunk;

pub use evaluate::{Comparison, Curve, PhotoEvaluation};
pub use train::PhotoOptions;
