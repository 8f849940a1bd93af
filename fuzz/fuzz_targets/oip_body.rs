//! Arbitrary bytes as an inference request of the Open Inference Protocol over HTTP: JSON, or JSON and raw tensors.

#![no_main]

use axum::{body::Bytes, http::HeaderMap};
use cloud_decoder::fuzzing::read_inference_body;
use lopside_fuzz::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte is the length of the tensors after the JSON; 0 stands for a request without the header.
    let Some((&tensor_bytes, body)) = bytes.split_first() else { return };
    let mut headers = HeaderMap::new();
    if tensor_bytes > 0 {
        let json_bytes = body.len().saturating_sub(usize::from(tensor_bytes));
        headers.insert("inference-header-content-length", json_bytes.into());
    }
    read_inference_body(&headers, &Bytes::copy_from_slice(body));
});
