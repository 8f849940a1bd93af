//! Responses as JSON, followed by the tensors that are requested as raw bytes.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use lopside_proto::inference::{DataType, ModelConfig, model_config::SchedulingChoice};
use serde_json::{Value, json};

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

/// Converts a configuration to JSON, with enumerations by name.
pub(super) fn config_json(config: ModelConfig) -> Value {
    let inputs = config.input.iter().map(|input| {
        json!({
            "name": input.name,
            "data_type": data_type_name(input.data_type),
            "dims": input.dims,
            "optional": input.optional,
        })
    });
    let outputs = config.output.iter().map(|output| {
        json!({
            "name": output.name,
            "data_type": data_type_name(output.data_type),
            "dims": output.dims,
        })
    });
    let instances = config
        .instance_group
        .iter()
        .map(|group| json!({ "name": group.name, "kind": group.kind().as_str_name(), "count": group.count }));
    let batching = config.scheduling_choice.map(|SchedulingChoice::DynamicBatching(batching)| {
        let queue = batching.default_queue_policy.unwrap_or_default();
        json!({
            "max_queue_delay_microseconds": batching.max_queue_delay_microseconds,
            "priority_levels": batching.priority_levels,
            "default_priority_level": batching.default_priority_level,
            "default_queue_policy": {
                "timeout_action": queue.timeout_action().as_str_name(),
                "default_timeout_microseconds": queue.default_timeout_microseconds,
                "allow_timeout_override": queue.allow_timeout_override,
                "max_queue_size": queue.max_queue_size,
            },
        })
    });
    json!({
        "name": config.name,
        "platform": config.platform,
        "backend": config.backend,
        "max_batch_size": config.max_batch_size,
        "input": inputs.collect::<Vec<_>>(),
        "output": outputs.collect::<Vec<_>>(),
        "instance_group": instances.collect::<Vec<_>>(),
        "dynamic_batching": batching,
        "model_transaction_policy": { "decoupled": false },
    })
}

fn data_type_name(kind: i32) -> &'static str {
    DataType::try_from(kind).unwrap_or_default().as_str_name()
}
