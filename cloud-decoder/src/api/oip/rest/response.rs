//! Responses as JSON, followed by the tensors that are requested as raw bytes.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::{
    bodies::{Inference, Tensor},
    request::JSON_LENGTH,
};
use crate::{
    ServeError,
    api::{error_http::ApiError, oip::inference_request::InferResponse},
};

/// Creates the response to an inference. `is_raw` returns whether an output is sent as raw bytes.
///
/// # Errors
/// 500 if the JSON cannot be written.
pub(super) fn inference_response(
    id: Option<String>,
    response: &InferResponse,
    is_raw: impl Fn(usize) -> bool,
) -> Result<Response, ApiError> {
    let mut tail = Vec::new();
    let outputs = response.outputs.iter().enumerate().map(|(number, output)| {
        let binary = is_raw(number).then(|| {
            let bytes = output.values.raw();
            tail.extend_from_slice(&bytes);
            bytes.len()
        });
        Tensor::from_output(output, binary)
    });
    let body = Inference {
        model_name: &response.model,
        model_version: response.version.to_string(),
        id,
        outputs: outputs.collect(),
    };
    let mut text = serde_json::to_vec(&body).map_err(|error| ServeError::Internal(error.to_string()))?;
    if tail.is_empty() {
        return Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response());
    }
    let length = HeaderValue::from(text.len());
    text.append(&mut tail);
    let mut response = ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response();
    response.headers_mut().insert(JSON_LENGTH, length);
    Ok(response)
}
