//! Which trace something belongs to, across processes: W3C's `traceparent` and `tracestate`.

use tracing::Span;

/// The header, or the gRPC metadata, that names a trace and a span.
pub const TRACEPARENT: &str = "traceparent";
/// The header of what tracing systems add to it.
pub const TRACESTATE: &str = "tracestate";
/// The variable of a process that is part of a trace.
const VARIABLE: &str = "TRACEPARENT";

/// Makes a span a part of the trace that a caller names. `header` gives the caller's headers.
#[cfg(feature = "otlp")]
pub fn incoming<'a>(span: &Span, header: impl Fn(&str) -> Option<&'a str>) {
    use opentelemetry::{propagation::TextMapPropagator as _, trace::TraceContextExt as _};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    if span.is_disabled() {
        return;
    }
    let names = [TRACEPARENT, TRACESTATE];
    let headers = names.iter().filter_map(|&name| Some((name.to_owned(), header(name)?.to_owned())));
    let headers: std::collections::HashMap<String, String> = headers.collect();
    let context = TraceContextPropagator::new().extract(&headers);
    if context.span().span_context().is_valid() {
        // A span that has begun its own trace stays in it; ours has only just been made.
        let _ = span.set_parent(context);
    }
}

/// Does nothing: spans are sent nowhere.
#[cfg(not(feature = "otlp"))]
pub fn incoming<'a>(_span: &Span, _header: impl Fn(&str) -> Option<&'a str>) {}

/// Makes a span a part of the trace that the environment variable `TRACEPARENT` names.
pub fn from_environment(span: &Span) {
    let parent = std::env::var(VARIABLE).ok();
    incoming(span, |name| parent.as_deref().filter(|_| name == TRACEPARENT));
}

/// The `traceparent` to send along from inside a span; of a span that nobody takes, the environment's.
#[cfg(feature = "otlp")]
#[must_use]
pub fn outgoing(span: &Span) -> Option<String> {
    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    let mut headers = std::collections::HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.remove(TRACEPARENT).or_else(|| std::env::var(VARIABLE).ok())
}

/// The environment's `traceparent`, to send along.
#[cfg(not(feature = "otlp"))]
#[must_use]
pub fn outgoing(_span: &Span) -> Option<String> {
    std::env::var(VARIABLE).ok()
}
