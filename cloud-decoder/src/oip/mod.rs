//! The Open Inference Protocol, version 2, with what Triton adds to it.
//!
//! A head is a model. Its name is `BUNDLE.HEAD`, or `BUNDLE` for the bundle's first head; its versions are the head's, the
//! newest answers a request that names none. `BUNDLE.HEAD.frame` is the same model; only that its metadata name `frame` as
//! its input, for clients that send what the metadata say. The repository's calls know bundles, by the same names.
//!
//! | input | type | shape | |
//! |---|---|---|---|
//! | the layers' own names | FP32 | `[n, …]` | dequantised latents; a bundle of one layer takes it as `latent` too |
//! | the layers' own names, and the quality's | FP32 | `[n, channels, rows, columns]`, `[n, 1]` | feature maps of heads of pictures of any size |
//! | `frame` | BYTES | `[n, 1]` or `[n]` | frames, entropy coded, instead of the layers |
//!
//! | output | type | shape | of heads that |
//! |---|---|---|---|
//! | the model's own names | FP32 | `[n, …]` | all; the default |
//! | `png` | BYTES | `[n, 1]` | make pictures |
//! | `probabilities`, `label` | FP32, BYTES | `[n, classes]`, `[n, 1]` | classify |
//! | `series` | FP32 | `[n, length, channels]` | make windows, in the units of what was measured |
//! | `score`, `quantile`, `anomalous` | FP32, FP32, BOOL | `[n, 1]` | score; from frames only |
//!
//! Heads of pictures of any size crop their output to the frame's picture; feature maps know of no padding, the output is
//! as large as they say. Frames of an older encoder of the same bundle are decoded by the newest head that knows their latent space.

mod config;
mod grpc;
mod infer;
mod inputs;
mod model;
mod picture;
mod repository;
mod rest;
mod statistics;
mod tensor;
mod vector;

use std::sync::Arc;

use crate::{Decoder, registry::Registry, terms::DefaultTerms};

pub(crate) use rest::{Document, router};

/// The protocol over a decoder, whatever the transport; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Oip {
    decoder: Decoder,
    terms: DefaultTerms,
    ready: tokio::sync::watch::Receiver<bool>,
}

/// What runs the models.
const PLATFORM: &str = "onnx_onnxv1";

/// The extensions that both transports offer.
const EXTENSIONS: [&str; 5] =
    ["classification", "model_repository", "model_configuration", "statistics", "binary_tensor_data"];

impl Oip {
    pub(crate) fn new(
        decoder: Decoder,
        terms: DefaultTerms,
        ready: tokio::sync::watch::Receiver<bool>,
    ) -> Self {
        Self { decoder, terms, ready }
    }

    fn registry(&self) -> &Arc<Registry> {
        self.decoder.registry()
    }

    fn ready(&self) -> bool {
        *self.ready.borrow()
    }
}
