//! Trace context across processes: `traceparent` and `tracestate` of the W3C.

use tracing::Span;

/// The HTTP header, or gRPC metadata key, that identifies a trace and a span.
pub const TRACEPARENT: &str = "traceparent";
/// The HTTP header with additional data of tracing systems.
pub const TRACESTATE: &str = "tracestate";
/// The environment variable with the `traceparent` of a process that is part of a trace.
const TRACEPARENT_VARIABLE: &str = "TRACEPARENT";

/// Makes a span part of the trace that a caller names. `header` returns a header of the caller by its name.
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
        // A span that has already started its own trace would stay in it; this span is new.
        let _ = span.set_parent(context);
    }
}

/// Does nothing, because spans are not exported.
#[cfg(not(feature = "otlp"))]
pub fn incoming<'a>(_span: &Span, _header: impl Fn(&str) -> Option<&'a str>) {}

/// Makes a span part of the trace in the environment variable `TRACEPARENT`.
pub fn set_parent_from_environment(span: &Span) {
    let parent = std::env::var(TRACEPARENT_VARIABLE).ok();
    incoming(span, |name| parent.as_deref().filter(|_| name == TRACEPARENT));
}

/// Returns the `traceparent` to send along from inside a span. For a span that is not exported, returns that
/// of the environment.
#[cfg(feature = "otlp")]
#[must_use]
pub fn outgoing(span: &Span) -> Option<String> {
    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    let mut headers = std::collections::HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.remove(TRACEPARENT).or_else(|| std::env::var(TRACEPARENT_VARIABLE).ok())
}

/// Returns the `traceparent` of the environment, to send along.
#[cfg(not(feature = "otlp"))]
#[must_use]
pub fn outgoing(_span: &Span) -> Option<String> {
    std::env::var(TRACEPARENT_VARIABLE).ok()
}
