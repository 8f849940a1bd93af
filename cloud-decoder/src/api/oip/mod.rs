//! The Open Inference Protocol, version 2, with Triton's extensions.
//!
//! A head is a model. Its name is `BUNDLE.HEAD`, or `BUNDLE` for the bundle's first head. The versions of the
//! model are the versions of the head; the newest one serves requests that do not name a version.
//! `BUNDLE.HEAD.frame` is the same model with `frame` as the input in its metadata, for clients that send
//! exactly the declared inputs. The repository calls apply to bundles and accept the same names.
//!
//! | input | type | shape | |
//! |---|---|---|---|
//! | the names of the layers | FP32 | `[n, …]` | dequantised latents; a bundle with one layer also accepts it as `latent` |
//! | the names of the layers, and of the quality | FP32 | `[n, channels, rows, columns]`, `[n, 1]` | feature maps, for heads of image codecs |
//! | `frame` | BYTES | `[n, 1]` or `[n]` | entropy-coded frames, instead of the layers |
//!
//! | output | type | shape | heads |
//! |---|---|---|---|
//! | the model's own names | FP32 | `[n, …]` | all; the default |
//! | `png` | BYTES | `[n, 1]` | heads that make images |
//! | `probabilities`, `label` | FP32, BYTES | `[n, classes]`, `[n, 1]` | heads that classify |
//! | `series` | FP32 | `[n, length, channels]` | heads that make windows of a time series, in the units of the measurements |
//! | `score`, `quantile`, `anomalous` | FP32, FP32, BOOL | `[n, 1]` | heads that score; from frames only |
//!
//! The answers of a stream are in the order of its requests, like Triton's for models that answer once.
//!
//! Heads of image codecs crop their output to the image of the frame. Feature maps do not describe any
//! padding, so the output has the full size that they imply. Frames of an older encoder of the same bundle
//! are decoded by the newest head that reads their latent space.

mod config;
mod fixed_latent;
#[cfg(fuzzing)]
pub(crate) mod fuzzed;
mod grpc;
mod image_codec;
mod infer;
mod inference_request;
mod inputs;
mod model;
mod parameters;
mod repository;
mod rest;
mod statistics;
mod tensor;

use std::sync::Arc;

use lopside_decoder::{Decoder, Registry};

use crate::{api::request_options::DefaultOptions, audit::AuditLog, health::HealthState};

pub(crate) use self::{
    grpc::GRPC_ACCESS,
    rest::{OipDocument, router},
};

/// The protocol over a decoder, independent of the transport; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct OipService {
    decoder: Decoder,
    default_options: DefaultOptions,
    health: HealthState,
    audit: AuditLog,
}

/// The platform of all models.
const PLATFORM: &str = "onnx_onnxv1";

/// The extensions that both transports support.
const EXTENSIONS: [&str; 5] =
    ["classification", "model_repository", "model_configuration", "statistics", "binary_tensor_data"];

impl OipService {
    pub(crate) fn new(
        decoder: Decoder,
        default_options: DefaultOptions,
        health: HealthState,
        audit: AuditLog,
    ) -> Self {
        Self { decoder, default_options, health, audit }
    }

    fn registry(&self) -> &Arc<Registry> {
        self.decoder.registry()
    }

    fn is_ready(&self) -> bool {
        self.health.check_ready().is_ok()
    }
}
