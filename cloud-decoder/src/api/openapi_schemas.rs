use utoipa::{IntoParams, ToSchema};

/// The headers for the deadline and the priority of a request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the schema of the headers that `DefaultOptions` parses")]
pub(crate) struct RequestHeaders {
    /// Milliseconds from the arrival of the request to its deadline.
    #[param(rename = "lopside-timeout-ms", minimum = 1, nullable = false)]
    timeout: Option<u64>,
    /// Priority of the request.
    #[param(rename = "lopside-priority", inline, required = false)]
    priority: Urgency,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of the values of a header")]
enum Urgency {
    High,
    Normal,
    Low,
}

/// Raw bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "the schema of binary bodies")]
pub(crate) struct Octets(Vec<u8>);

/// A time in RFC 3339, or in Unix milliseconds.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    pattern = "^(-?[0-9]{1,15}|[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))$",
    example = "2026-07-01T12:00:00Z"
)]
#[allow(dead_code, reason = "the schema of the times that `archive::times` parses")]
pub(crate) struct Time(String);
