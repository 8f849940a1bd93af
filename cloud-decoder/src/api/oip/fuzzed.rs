use std::time::Duration;

use axum::{body::Bytes, http::HeaderMap};
use lopside_decoder::RequestOptions;
use lopside_proto::inference::ModelInferRequest;

use super::{
    grpc::parse_request,
    inference_request::{InferRequest, InferenceSource},
    rest::parse_body,
};

/// Reads a request that arrived over gRPC, and checks its tensors if it is accepted.
pub(crate) fn read_message(message: ModelInferRequest) {
    if let Ok(request) = parse_request(message, options()) {
        check_inputs(request);
    }
}

/// Reads a request that arrived over HTTP, and checks its tensors if it is accepted.
pub(crate) fn read_body(headers: &HeaderMap, body: &Bytes) {
    let path = ("model".to_owned(), String::new());
    if let Ok(parsed) = parse_body(path, headers, options(), body) {
        check_inputs(parsed.request);
    }
}

fn options() -> RequestOptions {
    RequestOptions::with_timeout(Duration::from_secs(1))
}

fn check_inputs(request: InferRequest) {
    for input in &request.inputs {
        let extents: Option<Vec<usize>> = input.shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let Some([items, dims @ ..]) = extents.as_deref() else { continue };
        if let Ok(values) = input.clone().into_floats(dims) {
            let expected = dims.iter().try_fold(*items, |product, &dim| product.checked_mul(dim));
            assert_eq!(Some(values.len()), expected, "{:?}", input.shape);
        }
        if let Ok(texts) = input.clone().texts() {
            assert_eq!(texts.len(), *items, "{:?}", input.shape);
        }
        let _ = input.extents();
    }
    if let Ok(source) = InferenceSource::from_inputs(request.inputs) {
        let _ = source.latent_space();
    }
}
