//! An OpenTelemetry collector for tests, which stores the spans and metrics that it receives.

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// Maximum number of spans or metrics that are stored for the test.
const MAX_STORED: usize = 1 << 16;

/// A listening collector.
#[derive(Debug)]
pub struct Collector {
    /// The address of the collector, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    spans: mpsc::Receiver<(String, Span)>,
    metrics: mpsc::Receiver<Metric>,
}

#[derive(Clone)]
struct Inbox {
    spans: mpsc::Sender<(String, Span)>,
    metrics: mpsc::Sender<Metric>,
}

impl Collector {
    /// Starts a collector on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[allow(clippy::expect_used)]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let endpoint = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let (spans, received_spans) = mpsc::channel(MAX_STORED);
        let (metrics, received_metrics) = mpsc::channel(MAX_STORED);
        let inbox = Inbox { spans, metrics };
        let server = Server::builder()
            .add_service(TraceServiceServer::new(inbox.clone()))
            .add_service(MetricsServiceServer::new(inbox));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { endpoint, spans: received_spans, metrics: received_metrics }
    }

    /// Returns the spans received since the last call, each with the service that produced it.
    pub fn take_spans(&mut self) -> Vec<(String, Span)> {
        std::iter::from_fn(|| self.spans.try_recv().ok()).collect()
    }

    /// Returns the metrics received since the last call.
    pub fn take_metrics(&mut self) -> Vec<Metric> {
        std::iter::from_fn(|| self.metrics.try_recv().ok()).collect()
    }
}

#[tonic::async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let service = service_name(&resource.resource.unwrap_or_default());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let _ = self.spans.send((service.clone(), span)).await;
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Inbox {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let _ = self.metrics.send(metric).await;
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// Returns the string or integer value of an attribute of a span or resource, as text.
#[must_use]
pub fn attribute_text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn service_name(resource: &Resource) -> String {
    attribute_text(&resource.attributes, "service.name").unwrap_or_default()
}
