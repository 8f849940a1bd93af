//! The body of an inference request: JSON, followed by the raw tensors in the order of the inputs.

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_decoder::RequestOptions;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{elements::Elements, object::Object};
use crate::{
    ServeError,
    api::{
        error_http::ApiError,
        oip::{
            inference_request::{InferRequest, Parameters, RequestedOutput},
            parameters::ReadParameters as _,
            tensor::{InputData, InputTensor},
        },
    },
};

/// The header with the length of the JSON, if tensors follow it.
pub(super) const JSON_LENGTH: &str = "inference-header-content-length";
/// The parameter with the encoding of byte strings, for bytes that JSON cannot carry.
pub(super) const CONTENT_TYPE: &str = "content_type";
pub(super) const BASE64: &str = "base64";

/// An inference request, and the format of its response.
#[derive(Debug)]
pub(super) struct ParsedRequest {
    pub(super) id: Option<String>,
    pub(super) request: InferRequest,
    /// Whether each output is returned as raw bytes, in the order of the requested outputs.
    pub(super) raw_outputs: Vec<bool>,
    /// The same for a request without requested outputs.
    pub(super) all_raw: bool,
}

/// Tensors for a model.
#[derive(Deserialize, ToSchema)]
#[schema(as = InferenceRequest, examples(example_request))]
pub(super) struct Body {
    /// An id that the response repeats.
    id: Option<String>,
    /// `timeout` in microseconds; `priority`, with 1 for the highest; `binary_data_output` to return outputs
    /// as raw bytes after the JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// The layers of the latent, or `frame`.
    #[serde(default)]
    #[schema(value_type = Vec<Input>)]
    inputs: Vec<Object<Input>>,
    #[serde(default)]
    #[schema(value_type = Vec<Output>)]
    outputs: Vec<Object<Output>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = InputTensor)]
struct Input {
    name: String,
    /// The shape, batch dimension first.
    shape: Vec<i64>,
    /// `FP32` or `BYTES`.
    datatype: String,
    /// `binary_data_size` if the data follow the JSON; `content_type` with the value `base64` if `BYTES` are
    /// in base64.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// The elements, flat or nested, row-major.
    #[schema(value_type = Option<Vec<Value>>)]
    data: Option<Elements>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = RequestedOutput)]
struct Output {
    name: String,
    /// `binary_data` to return this output as raw bytes after the JSON; `classification` to return this
    /// number of most probable classes.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
}

/// Returns the example: a latent of the demo's bundle, 32 zeros.
fn example_request() -> Value {
    let data = vec![0.0; 32];
    json!({ "inputs": [{ "name": "latent", "shape": [1, 32], "datatype": "FP32", "data": data }] })
}

/// Parses a body. `model` and `version` come from the path.
///
/// # Errors
/// 400 with the problem.
pub(super) fn parse_body(
    (model, version): (String, String),
    headers: &HeaderMap,
    options: RequestOptions,
    body: &Bytes,
) -> Result<ParsedRequest, ApiError> {
    let (text, mut rest) = split_body(headers, body)?;
    let Object(Body { id, parameters, inputs, outputs }) = parse_json(&text)?;
    let inputs: Result<_, _> =
        inputs.into_iter().map(|Object(input)| parse_tensor(input, &mut rest)).collect();
    let inputs = inputs?;
    if !rest.is_empty() {
        return Err(bad_request(format!("{} bytes are left after the last tensor", rest.len())));
    }
    let all_raw = parameters.boolean("binary_data_output")?.unwrap_or(false);
    let outputs: Vec<Output> = outputs.into_iter().map(|Object(output)| output).collect();
    let raw_outputs = outputs.iter().map(|output| output.parameters.boolean("binary_data"));
    let raw_outputs =
        raw_outputs.map(|raw| raw.map(|raw| raw.unwrap_or(all_raw))).collect::<Result<_, _>>()?;
    let parameters =
        Parameters { timeout: parameters.integer("timeout")?, priority: parameters.integer("priority")? };
    let outputs = outputs.into_iter().map(parse_output).collect::<Result<_, _>>()?;
    let request = InferRequest { model, version, inputs, outputs, options: parameters.apply_to(options) };
    Ok(ParsedRequest { id, request, raw_outputs, all_raw })
}

/// Parses a JSON text.
///
/// # Errors
/// 400 with the problem and its position.
pub(super) fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(text)
        .map_err(|error| bad_request(format!("the body is not the expected JSON: {error}")))
}

/// Splits a body into the JSON and the bytes after it.
fn split_body(headers: &HeaderMap, body: &Bytes) -> Result<(Bytes, Bytes), ApiError> {
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok((body.clone(), Bytes::new())) };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    let length: usize = length.filter(|&length| length <= body.len()).ok_or_else(|| {
        bad_request(format!("{JSON_LENGTH} must be a length within the body, which has {} bytes", body.len()))
    })?;
    Ok((body.slice(..length), body.slice(length..)))
}

fn parse_tensor(input: Input, rest: &mut Bytes) -> Result<InputTensor, ApiError> {
    let Input { name, shape, datatype, parameters, data } = input;
    let raw = parameters.get("binary_data_size");
    let data = match (raw, data) {
        (Some(size), None) => {
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
            let size = size.filter(|&size| size <= rest.len());
            InputData::Raw(rest.split_to(size.ok_or_else(|| {
                input_error(
                    &name,
                    "binary_data_size must be a number of at most the remaining bytes of the body",
                )
            })?))
        }
        (None, Some(elements)) => {
            let is_base64 = parameters.get(CONTENT_TYPE).and_then(Value::as_str) == Some(BASE64);
            let elements = if is_base64 {
                elements.decoded(|text| BASE64_STANDARD.decode(text).ok())
            } else {
                Some(elements)
            };
            elements.ok_or_else(|| input_error(&name, "its data are not base64"))?.data()
        }
        (Some(_), Some(_)) => return Err(input_error(&name, "it has both data and binary_data_size")),
        (None, None) => return Err(input_error(&name, "it has neither data nor binary_data_size")),
    };
    Ok(InputTensor { name, datatype, shape, data })
}

fn parse_output(output: Output) -> Result<RequestedOutput, ServeError> {
    let classes = output.parameters.integer("classification")?.filter(|&classes| classes > 0);
    Ok(RequestedOutput { name: output.name, classes: classes.map(|classes| classes as usize) })
}

fn input_error(name: &str, reason: &str) -> ApiError {
    bad_request(format!("input {name:?}: {reason}"))
}

fn bad_request(reason: String) -> ApiError {
    ApiError::Http(StatusCode::BAD_REQUEST, reason)
}
