//! The cloud decoder: receives frames and returns the outputs of the heads.
//!
//! ```text
//! grpc ─┐            ┌─► vector ──┐                ┌─► output (tensor, PNG, class scores, anomaly)
//!       ├─► decode ──┤            ├─► batch ────────┤
//! http ─┘   (checks) └─► picture ─┘   queue, engines (ONNX Runtime)
//!
//! ingest ─► archive (SQLite or PostgreSQL)
//! channels ─► files of a bundle's edge part
//! ```
//! The library target exists for the tests and the training crate, which run the same code path as the
//! server.

mod anomaly;
pub mod archive;
mod batch;
mod channels;
pub mod check;
pub mod cli;
mod config;
mod decode;
mod error;
mod error_grpc;
mod error_http;
mod extract;
pub mod front;
mod grpc;
mod heads;
pub mod health;
mod http;
mod ingest;
pub mod keys;
mod metrics;
mod model;
mod observe;
mod offload;
mod oip;
mod openapi;
mod output;
mod picture;
mod registry;
mod room;
mod runtime;
mod sent;
pub mod serve;
mod served;
mod terms;
mod vector;

pub use anomaly::{Anomaly, AnomalyPart};
pub use batch::{BatchSettings, Priority, RequestOptions};
pub use config::Settings;
pub use decode::{DEFAULT_TIMEOUT, DecodeRequest, Decoder, MAX_FRAMES, MAX_OUTPUTS, OutputRequest};
pub use error::{ServeError, StartError};
pub use openapi::openapi_document;
pub use output::{Output, OutputFormat, OutputValue};
pub use picture::ImageCodecDecoder;
pub use registry::Registry;
pub use runtime::{Device, Runtime};
pub use sent::ReferenceInput;
