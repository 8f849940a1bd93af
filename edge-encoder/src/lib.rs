//! The edge: encodes images and measurements into frames.
//!
//! ```text
//! source ─► preprocess ─► encoder (tract) ─► latent coder ─► frame ─► .lps file, gRPC, or the spool
//! ```
//! [`FixedLatentEncoder`] is for fixed-latent bundles, [`ImageCodecEncoder`] for image codecs, and [`AnyEncoder`] for
//! bundles of either kind. The [`agent`] runs continuously and stores frames until the cloud has them. Tests,
//! benches and the training crate use the library to run the same code path as the program.

pub mod agent;
mod any;
pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod doctor;
mod encoder;
mod error;
pub mod golden;
mod picture;
mod plan;
pub mod report;
mod security;
pub mod source;
mod wire;

pub use any::{AnyEncoder, EncodeOptions};
pub use encoder::{EncodeTiming, EncodedFrame, FixedLatentEncoder};
pub use error::EdgeError;
pub use picture::{ImageCodecEncoder, ImageCodecOptions, to_eight_bit};
pub use plan::ModelPlan;
pub use security::{ApiKey, SecuritySettings};
