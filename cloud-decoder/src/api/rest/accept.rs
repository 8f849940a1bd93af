use axum::http::{HeaderMap, HeaderValue, header::ACCEPT};

/// Returns whether the `Accept` header lists a media type by its name.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accept = headers.get(ACCEPT).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default();
    let mut kinds = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| kind == media_type)
}
