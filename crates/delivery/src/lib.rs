//! Words that the device's queue and the cloud's archive share.
//!
//! A record is identified by its device, its epoch, its [`Class`] and its number. Both ends name the class in
//! the same way, accept the same device names, say the same about the input of a frame and the condition of a source, and
//! have the same limit on the bytes of a frame. The crate does not have any dependencies.

mod class;
mod device_name;
mod frame_marks;
mod source_condition;

pub use class::Class;
pub use device_name::{MAX_DEVICE_NAME_BYTES, is_valid_device_name};
pub use frame_marks::{FrameMarks, GeoPoint};
pub use source_condition::{
    MAX_PROBLEM_BYTES, MAX_REPORTED_SOURCES, MAX_SOURCE_NAME_BYTES, SourceCondition, shorten_text,
};

/// The metadata of gRPC in which the cloud states the largest image that it decodes, in pixels.
pub const MAX_PIXELS_METADATA: &str = "lopside-max-pixels";
/// Maximum size of a frame in bytes.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
