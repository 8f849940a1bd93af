//! Entry points of the fuzz targets: the readers of what clients send.

use axum::{body::Bytes, http::HeaderMap};
use lopside_proto::{inference::ModelInferRequest, v1::UploadRequest};

/// Reads a message of a device.
///
/// # Panics
/// If the records are not those of the message.
pub fn read_upload(message: UploadRequest) {
    crate::ingest::fuzzed::read_message(message);
}

/// Reads an inference request that arrived over gRPC.
///
/// # Panics
/// If a tensor does not have the values that its shape declares.
pub fn read_inference_message(message: ModelInferRequest) {
    crate::api::oip::fuzzed::read_message(message);
}

/// Reads an inference request that arrived over HTTP.
///
/// # Panics
/// If a tensor does not have the values that its shape declares.
pub fn read_inference_body(headers: &HeaderMap, body: &Bytes) {
    crate::api::oip::fuzzed::read_body(headers, body);
}
