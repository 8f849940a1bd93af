//! The connection to a cloud-decoder: its address, TLS, the API key, and the bytes on the wire.

mod cloud_target;
mod counted_stream;
mod security;

pub(crate) use cloud_target::{CloudTarget, remote_error};
pub(crate) use counted_stream::WireCounters;
pub use security::{ApiKey, SecuritySettings};
