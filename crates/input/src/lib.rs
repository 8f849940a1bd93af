//! Pictures and windows of measurements as the tensors that models see, and back.
//!
//! Both hosts need it: the edge for what it encodes, the cloud for what its heads make and for inputs that are sent
//! along to be compared.

mod picture;
mod series;

pub use picture::{picture_of, picture_of_samples, samples_of};
pub use series::{normalised, restored};
