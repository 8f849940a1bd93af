use std::env;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::TelemetryError;

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// A provider that sends spans in batches, or `None` when no collector is named.
pub(crate) fn provider(service: &'static str) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    if first_set(&ENDPOINTS).is_none() {
        return Ok(None);
    }
    if let Some(protocol) = first_set(&PROTOCOLS).filter(|protocol| protocol != "grpc") {
        return Err(TelemetryError::Otlp(format!("protocol {protocol:?} is not built in: use grpc")));
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .build()
        .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
    // OTEL_SERVICE_NAME, when set, is read by the builder's detectors and wins.
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service);
    }
    let provider =
        SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
    Ok(Some(provider))
}

/// The layer that turns tracing's spans into OpenTelemetry's.
pub(crate) fn layer<S>(provider: &SdkTracerProvider, service: &'static str) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer(service))
}

fn first_set(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}
