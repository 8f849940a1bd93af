//! The connection to a cloud-decoder: its address, the proxy on the way, TLS, the API key, and the bytes on the wire.

mod cloud_target;
mod counted_stream;
mod host_and_port;
mod no_proxy;
mod proxy;
#[cfg(test)]
mod renewal_tests;
mod security;
mod tunnel;

pub(crate) use cloud_target::{CloudTarget, remote_error};
pub(crate) use counted_stream::WireCounters;
pub use proxy::{ProxyAddress, ProxyChoice};
pub use security::{ApiKey, SecuritySettings};
