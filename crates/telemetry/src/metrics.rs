//! Metrics: OpenTelemetry instruments, exposed as Prometheus text and sent by OTLP.
//!
//! Before [`init`](crate::init) instruments do nothing.

use std::sync::OnceLock;

use opentelemetry::global;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

pub use opentelemetry::{
    KeyValue,
    metrics::{
        AsyncInstrument, BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Histogram, Meter,
        UpDownCounter,
    },
};

use crate::TelemetryError;

/// The media type of [`exposition`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Histogram boundaries for durations from 0.1 milliseconds to 30 seconds, in seconds.
pub const DURATION_BOUNDS_S: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// Returns the meter that creates instruments.
#[must_use]
pub fn meter() -> Meter {
    global::meter("lopside")
}

/// Creates a histogram of durations in seconds.
#[must_use]
pub fn duration_histogram(name: &'static str, description: &'static str) -> Histogram<f64> {
    let meter = meter();
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(DURATION_BOUNDS_S.to_vec()).build()
}

/// Returns all metrics in the text format of Prometheus; empty before [`init`](crate::init).
#[must_use]
pub fn exposition() -> String {
    let families = REGISTRY.get().map(Registry::gather).unwrap_or_default();
    TextEncoder::new().encode_to_string(&families).unwrap_or_default()
}

/// Creates a provider whose metrics can be read, and are also sent if there is an exporter.
pub(crate) fn provider(
    resource: Resource,
    exporter: Option<MetricExporter>,
) -> Result<SdkMeterProvider, TelemetryError> {
    let registry = REGISTRY.get_or_init(Registry::new).clone();
    let reader =
        opentelemetry_prometheus::exporter().with_registry(registry).scope_info_enabled(false).build();
    let reader = reader.map_err(|error| TelemetryError::Otlp(error.to_string()))?;
    let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader);
    Ok(match exporter {
        Some(exporter) => provider.with_periodic_exporter(exporter).build(),
        None => provider.build(),
    })
}
