//! The error responses of operations.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, schema::Type},
};

/// The statuses and their descriptions.
const MEANINGS: [(u16, &str); 12] = [
    (400, "The request cannot be right; the answer says what is wrong with it."),
    (401, "No key came, or a wrong one; only where the server asks for keys."),
    (403, "The key may not do this."),
    (404, "There is no bundle, head, model, version, latent space or frame of that name, or no archive."),
    (406, "The head cannot answer as the Accept header wants."),
    (413, "The body is larger than the server takes."),
    (415, "The body is packed in a way that is not known here."),
    (422, "The bundle was refused; what was served before is served on."),
    (429, "The head has more to do than it can in time, or the key had its share."),
    (500, "Something failed that is not the caller's fault; the server's log says what."),
    (503, "The server is stopping, or its archive does not work at the moment."),
    (504, "The request's time was over before its answer was there."),
];

/// The statuses with a `Retry-After` header.
const RETRIED: [u16; 2] = [429, 503];

/// Errors of operations that look something up.
pub(crate) struct Lookup;
/// Errors of operations that read the archive.
pub(crate) struct Archive;
/// Errors of operations that run heads on archived frames.
pub(crate) struct Decoded;
/// Errors of operations that run heads.
pub(crate) struct Work;
/// Errors of operations that change the repository.
pub(crate) struct Change;
/// Errors of the health probes.
pub(crate) struct Probe;

impl IntoResponses for Lookup {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[400, 401, 403, 404, 429, 503])
    }
}

impl IntoResponses for Archive {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[400, 401, 403, 404, 429, 500, 503])
    }
}

impl IntoResponses for Decoded {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[400, 401, 403, 404, 406, 429, 500, 503, 504])
    }
}

impl IntoResponses for Work {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[400, 401, 403, 404, 406, 413, 415, 429, 500, 503, 504])
    }
}

impl IntoResponses for Change {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[400, 401, 403, 404, 413, 415, 422, 429, 500])
    }
}

impl IntoResponses for Probe {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[503])
    }
}

fn refusals(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let known = MEANINGS.iter().filter(|(status, _)| statuses.contains(status));
    known.map(|&(status, meaning)| (status.to_string(), RefOr::T(refusal(status, meaning)))).collect()
}

fn refusal(status: u16, meaning: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let response = ResponseBuilder::new().description(meaning).content("application/json", body);
    if !RETRIED.contains(&status) {
        return response.build();
    }
    let seconds = utoipa::openapi::ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let advice =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait before trying again."));
    response.header("Retry-After", advice.build()).build()
}
