use std::env;

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry};

use crate::{TelemetryError, metrics};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const PROTOCOLS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];

/// The OpenTelemetry providers of spans and metrics, which send data if a collector is configured.
#[derive(Debug)]
pub(crate) struct Otlp {
    spans: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    /// The runtime of the exporters in a process without a multi-threaded runtime, whose own thread waits for
    /// them at the end.
    runtime: Option<Runtime>,
}

impl Otlp {
    pub(crate) fn start(service: &'static str) -> Result<Self, TelemetryError> {
        let (traces_endpoint, metrics_endpoint) =
            (first_set(&[TRACES, ENDPOINT]), first_set(&[METRICS, ENDPOINT]));
        let runtime =
            if traces_endpoint.is_some() || metrics_endpoint.is_some() { own_runtime()? } else { None };
        let _entered = runtime.as_ref().map(Runtime::enter);
        if traces_endpoint.is_some() || metrics_endpoint.is_some() {
            check_protocol()?;
        }
        let resource = resource(service);
        let spans = traces_endpoint
            .map(|_| SpanExporter::builder().with_tonic().build())
            .transpose()
            .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
        let metric_exporter = metrics_endpoint
            .map(|_| MetricExporter::builder().with_tonic().build())
            .transpose()
            .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
        let spans = spans.map(|exporter| {
            SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build()
        });
        let metrics = metrics::provider(resource, metric_exporter)?;
        global::set_meter_provider(metrics.clone());
        crate::process::observe();
        Ok(Self { spans, metrics, runtime })
    }

    /// Returns the layer that turns tracing's spans into OpenTelemetry spans, independent of the log filter;
    /// `None` if spans are not exported.
    pub(crate) fn span_layer(&self, service: &'static str) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let tracer = self.spans.as_ref()?.tracer(service);
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(LevelFilter::INFO).boxed())
    }

    /// Sends all unsent data and stops the exporters.
    pub(crate) fn stop(self) -> Result<(), String> {
        let result = self.spans.map_or(Ok(()), |spans| spans.shutdown());
        let result = result.and(self.metrics.shutdown());
        if let Some(runtime) = self.runtime {
            runtime.shutdown_background();
        }
        result.map_err(|error| error.to_string())
    }
}

fn own_runtime() -> Result<Option<Runtime>, TelemetryError> {
    if Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() != RuntimeFlavor::CurrentThread) {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map(Some).map_err(|error| TelemetryError::Otlp(error.to_string()))
}

fn check_protocol() -> Result<(), TelemetryError> {
    match first_set(&PROTOCOLS).filter(|protocol| protocol != "grpc") {
        Some(protocol) => {
            Err(TelemetryError::Otlp(format!("protocol {protocol:?} is not supported: use `grpc`")))
        }
        None => Ok(()),
    }
}

fn resource(service: &'static str) -> Resource {
    // If `OTEL_SERVICE_NAME` is set, the builder's detectors read it, and it takes precedence.
    let named = env::var_os("OTEL_SERVICE_NAME").is_some();
    let resource = Resource::builder();
    if named { resource.build() } else { resource.with_service_name(service).build() }
}

fn first_set(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}
