//! The cloud decoder: receives frames, returns the outputs of their heads, and archives what devices upload.
//!
//! ```text
//! transport ─► auth ─► api/grpc ─┐
//! (limits, TLS)        api/rest ─┼─► lopside_decoder ─► outputs
//!                      api/oip ──┘
//!                      ingest ─► archive (SQLite or PostgreSQL) ─► scores, exports, retention
//!                      channels ─► files of a bundle's device part
//! ```
//! The library target exists for the tests.

mod api;
pub mod archive;
pub mod audit;
pub mod auth;
mod background;
mod channels;
pub mod check;
pub mod cli;
mod error;
mod folder_watch;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod health;
mod ingest;
pub mod serve;
mod settings;
mod telemetry;
pub mod transport;

pub use api::openapi::openapi_document;
pub use error::{ServeError, StartError};
pub use settings::{ArchiveArgs, ConnectionArgs, GrpcCompression, LogFormat, ServeArgs, Settings, TlsArgs};
