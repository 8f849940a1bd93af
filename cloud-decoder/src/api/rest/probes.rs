//! Liveness and readiness.

use std::fmt::Write as _;

use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{RETRY_AFTER, VARY},
    },
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{ApiState, accept::accepts, flag::Flag};
use crate::{
    ServeError,
    api::{
        error_http::ApiError,
        extract::{PathParams, QueryParams},
        openapi_errors,
    },
    health::CheckResult,
};

const JSON: &str = "application/json";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadyQuery {
    /// Whether to list the results of all checks. The name alone means true.
    #[param(value_type = Flag, inline, required = false)]
    verbose: Option<Flag>,
}

/// The readiness of the server, with the results of all checks.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
pub(super) struct ReadinessBody {
    /// Whether load balancers should send requests. A server whose archive fails decodes nevertheless.
    ready: bool,
    checks: Vec<CheckBody>,
}

/// The result of one check.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckBody {
    /// The name of a service or of a component.
    name: String,
    ok: bool,
    /// The kind of the fault; null if the check passed.
    #[schema(required)]
    fault: Option<String>,
    /// The problem in full; null if the check passed, or if the server requires API keys.
    #[schema(required)]
    reason: Option<String>,
}

/// Returns whether the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "get_health",
    tag = "operation",
    responses((status = 200, description = "The process is alive", body = String, content_type = "text/plain", example = "ok"))
)]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Returns whether the server accepts requests.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "get_readiness",
    tag = "operation",
    params(ReadyQuery),
    responses(
        (
            status = 200,
            description = "The server accepts requests. With `verbose`, the text has a line per check, such as `[+]archive ok` or `[-]archive failed: disk full`",
            content((String = "text/plain"), (ReadinessBody = "application/json")),
        ),
        openapi_errors::ReadinessErrors,
    )
)]
pub(super) async fn readyz(
    State(api): State<ApiState>,
    QueryParams(query): QueryParams<ReadyQuery>,
    headers: HeaderMap,
) -> Response {
    let ready = api.health.check_ready();
    let mut response = if accepts(&headers, JSON) {
        json_answer(ready, api.health.check_all())
    } else if query.verbose.is_some_and(|Flag(verbose)| verbose) {
        text_answer(&ready, &api.health.check_all())
    } else {
        ready.map_or_else(ServeError::into_response, |()| "ready".into_response())
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Returns whether one check passes, for example of the service `ingest` or of the component `archive`.
#[utoipa::path(
    get,
    path = "/readyz/{check}",
    operation_id = "get_check",
    tag = "operation",
    params(("check" = String, Path, description = "The name of a service (`decoder`, `ingest`, `channels`) or of a component")),
    responses(
        (status = 200, description = "The check passes", body = String, content_type = "text/plain", example = "ok"),
        openapi_errors::CheckErrors,
    )
)]
pub(super) async fn readyz_check(
    State(api): State<ApiState>,
    PathParams(name): PathParams<String>,
) -> Result<&'static str, ApiError> {
    let Some(check) = api.health.check(&name) else {
        let names: Vec<&str> = api.health.check_all().iter().map(|check| check.name).collect();
        let reason = format!("this server does not have a check {name:?}, only {}", names.join(", "));
        return Err(ApiError::Http(StatusCode::NOT_FOUND, reason));
    };
    match describe_fault(&check) {
        None => Ok("ok"),
        Some(fault) => Err(ServeError::NotReady(format!("{} failed: {fault}", check.name)).into()),
    }
}

/// Returns the fault of a check; `None` if the check passed.
fn describe_fault(check: &CheckResult) -> Option<String> {
    let fault = check.fault.as_ref()?;
    let reason = check.reason.as_ref().map(|reason| format!(" ({reason})"));
    Some(format!("{fault}{}", reason.unwrap_or_default()))
}

/// Returns a line for each check, in the form that Kubernetes has.
fn text_answer(ready: &Result<(), ServeError>, checks: &[CheckResult]) -> Response {
    let mut text = String::new();
    for check in checks {
        // Writing to a string does not fail.
        let _ = match describe_fault(check) {
            None => writeln!(text, "[+]{} ok", check.name),
            Some(fault) => writeln!(text, "[-]{} failed: {fault}", check.name),
        };
    }
    match ready {
        Ok(()) => (text + "ready\n").into_response(),
        Err(error) => {
            let _ = writeln!(text, "{error}");
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
        }
    }
}

fn json_answer(ready: Result<(), ServeError>, checks: Vec<CheckResult>) -> Response {
    let checks: Vec<CheckBody> = checks.into_iter().map(CheckBody::from).collect();
    match ready {
        Ok(()) => Json(ReadinessBody { ready: true, checks }).into_response(),
        Err(error) => {
            let body = json!({ "error": error.to_string(), "ready": false, "checks": checks });
            let (head, _) = error.into_response().into_parts();
            (head, Json(body)).into_response()
        }
    }
}

impl From<CheckResult> for CheckBody {
    fn from(CheckResult { name, fault, reason }: CheckResult) -> Self {
        Self { name: name.to_owned(), ok: fault.is_none(), fault, reason }
    }
}
