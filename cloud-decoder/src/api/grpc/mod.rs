//! The gRPC services of `lopside.v1` that decode; ingest and bundle downloads have modules of their own.

mod bundle_description;
mod decoder_service;

pub(crate) use decoder_service::DecoderGrpc;
