//! The body of an inference request: JSON, followed by the raw tensors in the order of the inputs.

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_decoder::RequestOptions;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    elements::Elements,
    list::List,
    object::Object,
    parameters::{JsonParameters, Parameter},
};
use crate::{
    ServeError,
    api::{
        error_http::ApiError,
        oip::{
            inference_request::{InferRequest, Parameters, RequestedOutput},
            tensor::{DataType, InputData, InputTensor, MAX_DIMS},
        },
    },
};

/// The header with the length of the JSON, if tensors follow it.
pub(super) const JSON_LENGTH: &str = "inference-header-content-length";
/// The value of the parameter `content_type` for bytes that JSON cannot carry.
pub(super) const BASE64: &str = "base64";
/// Maximum number of inputs, and of outputs, of a request. A model has a few.
const MAX_TENSORS: usize = 64;

/// An inference request, and the format of its response.
#[derive(Debug)]
pub(in crate::api::oip) struct ParsedRequest {
    pub(super) id: Option<String>,
    pub(in crate::api::oip) request: InferRequest,
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
    #[serde(default)]
    #[schema(value_type = RequestParameters)]
    parameters: Object<JsonParameters>,
    /// The layers of the latent, or `frame`.
    #[serde(default)]
    #[schema(value_type = Vec<Input>)]
    inputs: List<Object<Input>, MAX_TENSORS>,
    #[serde(default)]
    #[schema(value_type = Vec<Output>)]
    outputs: List<Object<Output>, MAX_TENSORS>,
}

/// The parameters of a request; others are ignored.
#[derive(ToSchema)]
#[schema(as = InferenceParameters)]
#[allow(dead_code, reason = "the schema of the parameters that `parse_body` reads")]
struct RequestParameters {
    /// Microseconds from the arrival of the request to its deadline.
    timeout: Option<u64>,
    /// The priority, with 1 for the highest.
    priority: Option<u64>,
    /// Whether to return outputs as raw bytes after the JSON.
    binary_data_output: Option<bool>,
}

/// An input of a model.
#[derive(Deserialize, ToSchema)]
#[schema(as = InferInputTensor)]
struct Input {
    name: String,
    /// The shape, batch dimension first.
    #[schema(value_type = Vec<i64>)]
    shape: List<i64, MAX_DIMS>,
    #[schema(value_type = DataType)]
    datatype: String,
    #[serde(default)]
    #[schema(value_type = InputParameters)]
    parameters: Object<JsonParameters>,
    /// The elements, flat or nested, row-major.
    #[schema(value_type = Option<Vec<Value>>)]
    data: Option<Elements>,
}

/// The encoding of an input's elements; other parameters are ignored.
#[derive(ToSchema)]
#[schema(as = InferInputParameters)]
#[allow(dead_code, reason = "the schema of the parameters that `parse_tensor` reads")]
struct InputParameters {
    /// Length of the elements in bytes, if they follow the JSON.
    #[schema(nullable = false)]
    binary_data_size: Option<u64>,
    /// `base64`, if elements of the type `BYTES` are in base64.
    content_type: Option<String>,
}

/// An output that the response is to contain.
#[derive(Deserialize, ToSchema)]
#[schema(as = InferRequestedOutput)]
struct Output {
    name: String,
    #[serde(default)]
    #[schema(value_type = RequestedOutputParameters)]
    parameters: Object<JsonParameters>,
}

/// The form of a requested output; other parameters are ignored.
#[derive(ToSchema)]
#[schema(as = InferRequestedOutputParameters)]
#[allow(dead_code, reason = "the schema of the parameters that `parse_body` reads")]
struct RequestedOutputParameters {
    /// Whether to return this output as raw bytes after the JSON.
    binary_data: Option<bool>,
    /// Number of the most probable classes to return, instead of the output itself; 0 for the output.
    classification: Option<u64>,
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
pub(in crate::api::oip) fn parse_body(
    (model, version): (String, String),
    headers: &HeaderMap,
    options: RequestOptions,
    body: &Bytes,
) -> Result<ParsedRequest, ApiError> {
    let (text, mut rest) = split_body(headers, body)?;
    let Object(Body { id, parameters: Object(parameters), inputs, outputs }) = parse_json(&text)?;
    let inputs: Result<_, _> =
        inputs.0.into_iter().map(|Object(input)| parse_tensor(input, &mut rest)).collect();
    let inputs = inputs?;
    if !rest.is_empty() {
        return Err(bad_request(format!("{} bytes are left after the last tensor", rest.len())));
    }
    let all_raw = parameters.binary_data_output.boolean("binary_data_output")?.unwrap_or(false);
    let outputs: Vec<Output> = outputs.0.into_iter().map(|Object(output)| output).collect();
    let raw_outputs = outputs.iter().map(|output| output.parameters.0.binary_data.boolean("binary_data"));
    let raw_outputs =
        raw_outputs.map(|raw| raw.map(|raw| raw.unwrap_or(all_raw))).collect::<Result<_, _>>()?;
    let parameters = Parameters {
        timeout: parameters.timeout.integer("timeout")?,
        priority: parameters.priority.integer("priority")?,
    };
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
    let Input { name, shape: List(shape), datatype, parameters: Object(parameters), data } = input;
    let is_base64 = has_base64(&name, &parameters.content_type)?;
    let data = match (parameters.binary_data_size, data) {
        (Parameter::Unset, Some(elements)) => {
            let elements = if is_base64 {
                elements.decoded(|text| BASE64_STANDARD.decode(text).ok())
            } else {
                Some(elements)
            };
            elements.ok_or_else(|| input_error(&name, "its data are not base64"))?.data()
        }
        (Parameter::Unset, None) => {
            return Err(input_error(&name, "it has neither data nor binary_data_size"));
        }
        (_, Some(_)) => return Err(input_error(&name, "it has both data and binary_data_size")),
        (size, None) => InputData::Raw(split_tensor(&name, &size, rest)?),
    };
    Ok(InputTensor { name, datatype, shape, data })
}

/// Removes the bytes of a tensor from the beginning of `rest`, and returns them.
fn split_tensor(input: &str, size: &Parameter, rest: &mut Bytes) -> Result<Bytes, ApiError> {
    let size = match size {
        Parameter::Integer(size) => usize::try_from(*size).ok().filter(|&size| size <= rest.len()),
        _ => None,
    };
    let size = size.ok_or_else(|| {
        input_error(input, "binary_data_size must be a number of at most the remaining bytes of the body")
    })?;
    Ok(rest.split_to(size))
}

/// Returns whether the byte strings of an input are in base64.
fn has_base64(input: &str, content_type: &Parameter) -> Result<bool, ApiError> {
    match content_type {
        Parameter::Unset => Ok(false),
        Parameter::Text(text) => Ok(text == BASE64),
        _ => Err(input_error(input, "the parameter content_type must be a text")),
    }
}

fn parse_output(output: Output) -> Result<RequestedOutput, ServeError> {
    let classes = output.parameters.0.classification.integer("classification")?;
    let classes = classes.filter(|&classes| classes > 0);
    Ok(RequestedOutput { name: output.name, classes: classes.map(|classes| classes as usize) })
}

fn input_error(name: &str, reason: &str) -> ApiError {
    bad_request(format!("input {name:?}: {reason}"))
}

fn bad_request(reason: String) -> ApiError {
    ApiError::Http(StatusCode::BAD_REQUEST, reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::oip::tensor::MAX_TEXTS;

    fn parse(body: &Value) -> Result<ParsedRequest, String> {
        let options = RequestOptions::with_timeout(Duration::from_secs(1));
        let names = ("a".to_owned(), String::new());
        let parsed = parse_body(names, &HeaderMap::new(), options, &body.to_string().into());
        parsed.map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_content_type_is_a_text_or_missing() {
        assert!(has_base64("a", &Parameter::Text(BASE64.into())).unwrap());
        assert!(!has_base64("a", &Parameter::Text("text/plain".into())).unwrap());
        assert!(!has_base64("a", &Parameter::Unset).unwrap());
        assert!(has_base64("a", &Parameter::Integer(5)).is_err());
    }

    #[test]
    fn lists_have_limits_and_unknown_parameters_are_skipped() {
        let input = |shape: usize, texts: usize| {
            json!({ "name": "a", "datatype": "BYTES", "shape": vec![1; shape], "data": vec![""; texts],
                    "parameters": { "other": [[], {}] } })
        };
        let output = json!({ "name": "a" });
        let longest = input(MAX_DIMS, MAX_TEXTS);
        let accepted =
            parse(&json!({ "inputs": vec![&longest; MAX_TENSORS], "outputs": vec![&output; MAX_TENSORS] }));
        assert_eq!(accepted.unwrap().request.inputs.len(), MAX_TENSORS);
        for (refused, reason) in [
            (json!({ "inputs": vec![&longest; MAX_TENSORS + 1] }), "at most 64 elements"),
            (json!({ "outputs": vec![&output; MAX_TENSORS + 1] }), "at most 64 elements"),
            (json!({ "inputs": [input(MAX_DIMS + 1, 1)] }), "at most 64 elements"),
            (json!({ "inputs": [input(1, MAX_TEXTS + 1)] }), "more than 256 strings"),
        ] {
            let error = parse(&refused).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
