//! The photo codec's model: pictures of any size, every quality, a linear encoder of about 1 kMAC a pixel.

mod average;
mod bundle;
pub mod calibrate;
pub mod evaluate;
mod export;
mod fit;
pub mod lapped;
mod mirror;
pub mod model;
pub(crate) mod own;
pub mod spec;
mod statistics;
mod train;
pub mod transform;
pub mod trunk;

pub use bundle::bundle;
pub use train::{PhotoOptions, train};
