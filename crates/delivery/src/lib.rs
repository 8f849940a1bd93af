//! Words that the device's queue and the cloud's archive share.
//!
//! A record is identified by its device, its epoch, its [`Class`] and its number. Both ends name the class in
//! the same way, accept the same device names and have the same limit on the bytes of a frame. The crate does
//! not have any dependencies.

mod class;
mod device_name;

pub use class::Class;
pub use device_name::{MAX_DEVICE_NAME_BYTES, is_valid_device_name};

/// Maximum size of a frame in bytes.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
