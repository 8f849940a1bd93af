//! Images and windows of time series as the tensors that models read, and back.
//!
//! Both hosts need this crate: the device for the inputs that it encodes, the cloud for the outputs of its
//! heads and for reference inputs.

mod pixels;
mod time_series;

pub use pixels::{image_from_samples, image_samples, to_model_image};
pub use time_series::{normalise_window, restore_window};
