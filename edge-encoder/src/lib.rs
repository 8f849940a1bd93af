//! The edge: pictures and measurements in, frames out.
//!
//! ```text
//! source ─► preprocess ─► encoder (tract) ─► latent coder ─► frame ─► .lps file, gRPC, or the spool
//! ```
//! [`Encoder`] is for bundles of vector models, [`PictureEncoder`] for those of photo models, [`AnyEncoder`] for
//! whichever a folder holds. The [`agent`] runs all the time and keeps frames until the cloud has them.
//! The library half is what tests, benches and the training crate use to run the very path that ships.

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
pub use encoder::{Encoded, Encoder, Timing};
pub use error::EdgeError;
pub use picture::{PictureEncoder, PictureOptions, eight_bit};
pub use plan::Plan;
pub use security::{ApiKey, Security};
