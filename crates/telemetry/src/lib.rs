//! Logs, traces and metrics of a process.
//!
//! stdout is reserved for data, so events are written to stderr; `RUST_LOG` selects the events to show. With
//! the `otlp` feature,
//!
//! - metrics are collected, and read with [`metrics::exposition`];
//! - spans are sent to a collector by OTLP over gRPC if `OTEL_EXPORTER_OTLP_ENDPOINT` (or
//!   `…_TRACES_ENDPOINT`) is set, and metrics if it (or `…_METRICS_ENDPOINT`) is set; the other `OTEL_…`
//!   variables have the meaning of the OpenTelemetry specification.
//!
//! Spans cost time even if nothing reads them. They are therefore created only if a collector receives them,
//! or if `RUST_LOG` is set: then log lines name the spans that they belong to.
//!
//! Text from outside cannot control the terminal or forge a line of the log: an event is one line, in which unsafe
//! characters are escaped. [`printable`] does the same for what a program prints itself.

pub mod context;
mod log_format;
#[cfg(feature = "otlp")]
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub mod printable;
#[cfg(feature = "otlp")]
mod process;

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Errors of setting up telemetry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `RUST_LOG` is not a valid filter.
    #[error("RUST_LOG is not a list of filters such as `info` or `cloud_decoder=debug`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is already set.
    #[error("telemetry is already set up in this process: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// The collector's address or protocol cannot be used.
    #[error("OTLP export cannot be set up: {0}")]
    Otlp(String),
}

/// The format of log events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Keeps telemetry alive, and flushes unsent data when it is dropped. Hold it until the end of `main`.
#[must_use = "telemetry ends when the guard is dropped"]
#[derive(Debug, Default)]
pub struct TelemetryGuard {
    #[cfg(feature = "otlp")]
    otlp: Option<otlp::Otlp>,
}

/// Sets up telemetry for this process. With OTLP it must be called inside a tokio runtime. `service` names
/// the process in traces and metrics; `default_filter` applies if `RUST_LOG` is not set.
///
/// # Errors
/// Returns [`TelemetryError`] for an invalid filter, a second call, or a collector that cannot be used.
pub fn init(
    service: &'static str,
    default_filter: &str,
    format: LogFormat,
) -> Result<TelemetryGuard, TelemetryError> {
    let rust_log = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(rust_log.as_deref().unwrap_or(default_filter))?;
    let shows_spans = rust_log.is_some();
    let filter = filter.and(filter_fn(move |metadata: &Metadata<'_>| shows_spans || metadata.is_event()));
    let lines = match format {
        LogFormat::Text => {
            log_format::text_lines(std::io::stderr, supports_colour()).with_filter(filter).boxed()
        }
        LogFormat::Json => log_format::json_lines(std::io::stderr).with_filter(filter).boxed(),
    };
    start(lines, service)
}

fn supports_colour() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;

#[cfg(not(feature = "otlp"))]
fn start(lines: LogLayer, _service: &'static str) -> Result<TelemetryGuard, TelemetryError> {
    tracing_subscriber::registry().with(lines).try_init()?;
    Ok(TelemetryGuard::default())
}

#[cfg(feature = "otlp")]
fn start(lines: LogLayer, service: &'static str) -> Result<TelemetryGuard, TelemetryError> {
    let otlp = otlp::Otlp::start(service)?;
    let mut layers = vec![lines];
    layers.extend(otlp.span_layer(service));
    tracing_subscriber::registry().with(layers).try_init()?;
    Ok(TelemetryGuard { otlp: Some(otlp) })
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        #[cfg(feature = "otlp")]
        if let Some(Err(error)) = self.otlp.take().map(otlp::Otlp::stop) {
            tracing::warn!(error, "the last spans and metrics may not have reached the collector");
        }
    }
}
