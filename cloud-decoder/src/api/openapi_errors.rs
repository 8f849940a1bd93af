//! The error responses of operations.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, schema::Type},
};

/// The statuses and their descriptions.
const MEANINGS: [(u16, &str); 13] = [
    (400, "The request is invalid; the response says what is wrong."),
    (401, "The API key is missing or invalid; only if the server requires API keys."),
    (403, "The API key does not have the scope that the request needs."),
    (
        404,
        "The bundle, head, model, version, latent space or frame does not exist, or the server has no archive.",
    ),
    (406, "The head cannot respond in a format that the Accept header allows."),
    (408, "The body arrives too slowly."),
    (
        413,
        "The body is larger than the server accepts, or the request costs more than the API key may ever spend.",
    ),
    (415, "The content encoding of the body is not supported."),
    (422, "The bundle was refused; the previously served versions are still served."),
    (429, "The head is overloaded, the API key has reached its limit, or too many keys were guessed."),
    (500, "An internal error; the server's log contains the reason."),
    (503, "The server is stopping, or its archive or its memory for requests is temporarily unavailable."),
    (504, "The deadline passed before the response was ready."),
];

/// The statuses with a `Retry-After` header.
const RETRYABLE: [u16; 2] = [429, 503];

/// Errors of operations that only need a key.
pub(crate) struct KeyErrors;
/// Errors of operations that look something up.
pub(crate) struct LookupErrors;
/// Errors of operations that read the archive.
pub(crate) struct ArchiveErrors;
/// Errors of operations that run heads on archived frames.
pub(crate) struct ArchivedDecodeErrors;
/// Errors of operations that run heads.
pub(crate) struct InferenceErrors;
/// Errors of operations that change the repository.
pub(crate) struct RepositoryErrors;
/// Errors of the health probes.
pub(crate) struct ProbeErrors;
/// Errors of the probe that lists the results of checks.
pub(crate) struct ReadinessErrors;
/// Errors of the probes of single checks.
pub(crate) struct CheckErrors;

impl IntoResponses for KeyErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[401, 403, 429])
    }
}

impl IntoResponses for LookupErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[400, 401, 403, 404, 429, 503])
    }
}

impl IntoResponses for ArchiveErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[400, 401, 403, 404, 429, 500, 503])
    }
}

impl IntoResponses for ArchivedDecodeErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[400, 401, 403, 404, 406, 413, 429, 500, 503, 504])
    }
}

impl IntoResponses for InferenceErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[400, 401, 403, 404, 406, 408, 413, 415, 429, 500, 503, 504])
    }
}

impl IntoResponses for RepositoryErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503])
    }
}

impl IntoResponses for ProbeErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[503])
    }
}

impl IntoResponses for ReadinessErrors {
    /// The list of checks is also a text if the server is not ready.
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = error_responses(&[400, 503]);
        if let Some(RefOr::T(response)) = responses.get_mut("503") {
            let text = utoipa::openapi::ObjectBuilder::new().schema_type(Type::String);
            let text = ContentBuilder::new().schema(Some(text)).build();
            response.content.insert("text/plain".to_owned(), RefOr::T(text));
        }
        responses
    }
}

impl IntoResponses for CheckErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        error_responses(&[404, 503])
    }
}

fn error_responses(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let selected = MEANINGS.iter().filter(|(status, _)| statuses.contains(status));
    selected
        .map(|&(status, meaning)| (status.to_string(), RefOr::T(error_response(status, meaning))))
        .collect()
}

fn error_response(status: u16, meaning: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let response = ResponseBuilder::new().description(meaning).content("application/json", body);
    if !RETRYABLE.contains(&status) {
        return response.build();
    }
    let seconds = utoipa::openapi::ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let retry_after =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait before a retry."));
    response.header("Retry-After", retry_after.build()).build()
}
