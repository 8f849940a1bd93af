//! Answers as JSON, and tensors after it where they are wanted as they are.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_proto::inference::{DataType, ModelConfig, model_config::SchedulingChoice};
use serde_json::{Map, Value, json};

use super::request::{BASE64, CONTENT_TYPE, JSON_LENGTH};
use crate::{
    ServeError,
    error_http::Refusal,
    oip::{
        infer::InferResponse,
        tensor::{OutputTensor, Values},
    },
};

/// The answer to an inference. `raw` says which outputs are sent as they are.
///
/// # Errors
/// 500 when it cannot be written.
pub(super) fn inference(
    id: Option<String>,
    response: InferResponse,
    raw: impl Fn(usize) -> bool,
) -> Result<Response, Refusal> {
    let mut tail = Vec::new();
    let outputs = response.outputs.iter().enumerate().map(|(number, output)| {
        let binary = raw(number).then(|| {
            let bytes = output.values.raw();
            tail.extend_from_slice(&bytes);
            bytes.len()
        });
        tensor(output, binary)
    });
    let mut body = Map::new();
    body.insert("model_name".into(), response.model.into());
    body.insert("model_version".into(), response.version.to_string().into());
    if let Some(id) = id {
        body.insert("id".into(), id.into());
    }
    body.insert("outputs".into(), outputs.collect());
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

fn tensor(output: &OutputTensor, binary: Option<usize>) -> Value {
    let datatype = output.values.datatype().name();
    let mut tensor = json!({ "name": output.name, "datatype": datatype, "shape": output.shape });
    let (key, value) = match (binary, &output.values) {
        (Some(size), _) => ("parameters", json!({ "binary_data_size": size })),
        (None, Values::Share(..) | Values::Floats(_)) => ("data", json!(output.values.floats())),
        (None, Values::Bools(values)) => ("data", json!(values)),
        (None, Values::Texts(texts)) => {
            let plain: Result<Vec<&str>, _> = texts.iter().map(|text| str::from_utf8(text)).collect();
            if let Ok(plain) = plain {
                ("data", json!(plain))
            } else {
                tensor["parameters"] = json!({ CONTENT_TYPE: BASE64 });
                ("data", texts.iter().map(|text| BASE64_STANDARD.encode(text)).collect())
            }
        }
    };
    tensor[key] = value;
    tensor
}

/// A configuration, with the names of its enumerations.
pub(super) fn config(config: ModelConfig) -> Value {
    let kind = |kind: i32| DataType::try_from(kind).unwrap_or_default().as_str_name();
    let inputs = config.input.iter().map(|input| {
        json!({
            "name": input.name,
            "data_type": kind(input.data_type),
            "dims": input.dims,
            "optional": input.optional,
        })
    });
    let outputs = config.output.iter().map(
        |output| json!({ "name": output.name, "data_type": kind(output.data_type), "dims": output.dims }),
    );
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
