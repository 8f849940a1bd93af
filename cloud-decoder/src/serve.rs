//! The server: one port for gRPC and REST, and an orderly end.
//!
//! Stopping: readiness turns false (`/readyz`, grpc.health.v1), no new connection is taken, open connections get
//! GOAWAY and finish their requests, for at most the drain time; then the process ends.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::Router;
use axum::serve::ListenerExt as _;
use lopside_latent::Limits;
use lopside_proto::{
    FILE_DESCRIPTOR_SET, inference::grpc_inference_service_server::GrpcInferenceServiceServer,
    v1::decoder_service_server::DecoderServiceServer,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::MissedTickBehavior,
};
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::server::HealthReporter;
use tower_http::trace::TraceLayer;

use crate::{
    Decoder, Registry, Runtime, Settings, StartError,
    grpc::Grpc,
    http,
    oip::{self, Oip},
    terms::DefaultTerms,
};

/// The largest gRPC request, in bytes: all of its frames together. A REST request is one frame.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// A server that is ready: bundles loaded, port open.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    health: HealthReporter,
    ready: watch::Sender<bool>,
    drain: Duration,
}

/// Loads ONNX Runtime and the bundles, then opens the port.
///
/// # Errors
/// [`StartError`] with the cause and the fix.
pub async fn start(settings: &Settings) -> Result<Server, StartError> {
    let runtime = Runtime::load(&settings.onnxruntime, settings.device, settings.threads)?;
    let registry = Arc::new(Registry::load(&settings.bundles, &runtime, settings.batching)?);
    let terms = DefaultTerms { time: settings.request_timeout };
    let limits = Limits { max_pixels: settings.max_pixels, ..Limits::default() };
    let decoder = Decoder::new(Arc::clone(&registry), limits);
    let (ready, readiness) = watch::channel(true);
    let oip = Oip::new(decoder.clone(), terms, readiness.clone());
    let (health, routes) = grpc_routes(decoder.clone(), terms, oip.clone()).await?;
    let router = http::router(decoder, terms, readiness, limits.max_frame_bytes)
        .merge(oip::router(oip, MAX_REQUEST_BYTES))
        .merge(routes.into_axum_router())
        .fallback(http::unknown)
        .layer(TraceLayer::new_for_http());
    if let Some(every) = settings.watch {
        tokio::spawn(watch(Arc::downgrade(&registry), every));
    }
    let listen_error = |source| StartError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    tracing::info!(%address, "ready");
    Ok(Server { listener, address, router, health, ready, drain: settings.drain })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then drains.
    ///
    /// # Errors
    /// [`StartError::Serve`] when the listener fails.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), StartError> {
        let Self { listener, router, health, ready, drain, .. } = self;
        let (stopping, mut stopped) = watch::channel(false);
        let stop = async move {
            stop.await;
            tracing::info!(seconds = drain.as_secs(), "stopping: finishing open requests");
            ready.send_replace(false);
            health.set_not_serving::<DecoderServiceServer<Grpc>>().await;
            health.set_not_serving::<GrpcInferenceServiceServer<Oip>>().await;
            stopping.send_replace(true);
        };
        // Small frames must not wait for each other.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
        let deadline = async move {
            let _ = stopped.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            result = serving => result?,
            () = deadline => tracing::warn!("the drain time is over: open requests are cut off"),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Done at the first SIGTERM or SIGINT.
///
/// # Errors
/// What the system says when signals cannot be caught.
pub fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Follows the bundles' folders for as long as the registry lives.
async fn watch(registry: Weak<Registry>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(registry) = registry.upgrade() else { return };
        let _ = tokio::task::spawn_blocking(move || registry.refresh()).await;
    }
}

async fn grpc_routes(
    decoder: Decoder,
    terms: DefaultTerms,
    oip: Oip,
) -> Result<(HealthReporter, Routes), StartError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| StartError::Reflection(error.to_string()))?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<DecoderServiceServer<Grpc>>().await;
    health.set_serving::<GrpcInferenceServiceServer<Oip>>().await;
    let decoder_service = DecoderServiceServer::new(Grpc::new(decoder, terms))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(usize::MAX);
    let oip_service = GrpcInferenceServiceServer::new(oip)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Deflate);
    let mut routes = Routes::builder();
    routes
        .add_service(decoder_service)
        .add_service(oip_service)
        .add_service(health_service)
        .add_service(reflection);
    Ok((health, routes.routes()))
}
