//! The edge: encodes images and measurements into frames, and delivers them to a cloud-decoder.
//!
//! ```text
//! inputs ─► lopside_encoder ─► frame ─► .lps file (encode), gRPC (send), or the spool (run)
//! ```
//! The [`agent`] runs continuously and stores frames until the cloud has them. The library target exists for the
//! tests and benches, which start the agent in their own process or read its status.

pub mod agent;
pub mod cli;
pub mod command;
mod connection;
pub mod doctor;
mod error;
mod process_memory;
pub mod settings;
mod trial;

pub use connection::{ApiKey, ProxyAddress, ProxyChoice, SecuritySettings};
pub use error::{ConnectionError, EdgeError, SettingsError, UpdateError};
pub use trial::TrialLimits;
