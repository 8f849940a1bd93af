//! Tracing set-up for the binaries: events to stderr, spans to an OpenTelemetry collector when one is named.
//!
//! stdout belongs to data, so events go to stderr. `RUST_LOG` picks what is shown. With the `otlp` feature and
//! `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) set, spans are sent by OTLP over gRPC;
//! the other `OTEL_…` variables mean what the OpenTelemetry specification says.

#[cfg(feature = "otlp")]
mod otlp;

use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG is not a list of filters such as info or cloud_decoder=debug: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is already set.
    #[error("telemetry is already set up in this process: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The collector's address or protocol cannot be used.
    #[error("OTLP: {0}")]
    Otlp(String),
}

/// How events look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Keeps telemetry alive; flushes the spans not yet sent when it is dropped. Hold it until the end of `main`.
#[must_use = "telemetry ends when the guard is dropped"]
#[derive(Debug, Default)]
pub struct Guard {
    #[cfg(feature = "otlp")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Sets up tracing for this process. With OTLP it must be called inside a tokio runtime. `service` names the
/// process in traces, `default_filter` applies when `RUST_LOG` is not set.
///
/// # Errors
/// [`TelemetryError`] for a bad filter, a second call, or a collector that cannot be used.
pub fn init(service: &'static str, default_filter: &str, format: Format) -> Result<Guard, TelemetryError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter)?,
        _ => EnvFilter::try_new(default_filter)?,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours());
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().boxed(),
    };
    let registry = tracing_subscriber::registry().with(filter).with(lines);
    start(registry, service)
}

fn colours() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(not(feature = "otlp"))]
fn start(registry: impl SubscriberInitExt, _service: &'static str) -> Result<Guard, TelemetryError> {
    registry.try_init()?;
    Ok(Guard::default())
}

#[cfg(feature = "otlp")]
fn start<S>(registry: S, service: &'static str) -> Result<Guard, TelemetryError>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a> + Send + Sync,
{
    let provider = otlp::provider(service)?;
    let spans = provider.as_ref().map(|provider| otlp::layer(provider, service));
    registry.with(spans).try_init()?;
    Ok(Guard { provider })
}

impl Drop for Guard {
    fn drop(&mut self) {
        #[cfg(feature = "otlp")]
        if let Some(Err(error)) = self.provider.take().map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}
