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
    #[param(rename = "lopside-priority", required = false)]
    priority: Urgency,
}

/// The priority of a request.
#[derive(ToSchema)]
#[schema(as = Priority, rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of the values of a header")]
pub(crate) enum Urgency {
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

/// Checks that a schema that is written by hand has exactly the properties of a serialised value, all required.
#[cfg(test)]
pub(crate) fn assert_same_properties<S: utoipa::PartialSchema>(value: &impl serde::Serialize) {
    use std::collections::BTreeSet;

    let schema = serde_json::to_value(S::schema()).unwrap();
    let value = serde_json::to_value(value).unwrap();
    let keys: BTreeSet<&String> = value.as_object().unwrap().keys().collect();
    let properties: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys, properties);
    let required: BTreeSet<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(keys.into_iter().map(String::as_str).collect::<BTreeSet<_>>(), required);
}
