//! The server: one port for gRPC and REST, and a graceful shutdown.
//!
//! Shutdown: readiness turns false (`/readyz`, `grpc.health.v1`), and the server continues to serve until
//! load balancers have noticed. Then it accepts no more connections; open connections receive GOAWAY and
//! finish their requests, for at most the drain time or until a second stop signal. Then the process ends.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT | shutdown; the second one ends the process at once |
//! | SIGHUP | certificates, keys and channels are loaded again if they have changed; it never ends the process |

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use futures_util::future::BoxFuture;
use lopside_archive::Archive;
use lopside_decoder::{Decoder, Registry, Runtime};
use lopside_latent::Limits;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tonic_health::server::health_reporter;

use crate::{
    Settings, StartError,
    api::{
        self, ApiSettings,
        request_options::DefaultOptions,
        rest::{self, ApiState},
    },
    archive::ServerArchive,
    audit::AuditLog,
    auth::Authenticator,
    background::FollowedParts,
    channels::Channels,
    health::{HealthState, Service, register_health_metrics},
    telemetry::{access_log::AccessLogLayer, calls::ObserveLayer, metrics, request_context::RequestIdLayer},
    transport::{Front, FrontStats, StopSignal},
};

/// A server that is ready: its bundles are loaded, and its port is open.
#[derive(Debug)]
pub struct Server {
    registry: Arc<Registry>,
    archive: Option<ServerArchive>,
    front: Front,
    address: SocketAddr,
    url: String,
    stats: Arc<FrontStats>,
    health: HealthState,
    drain_wait: Duration,
    drain: Duration,
}

/// Loads ONNX Runtime and the bundles, then opens the port.
///
/// The future is boxed, like those of [`Server`]: the code of an async function is compiled in every crate that
/// awaits it, which would be the whole server in the program and in the tests again.
///
/// # Errors
/// [`StartError`] with the cause and the fix.
#[must_use]
pub fn start_server(settings: &Settings) -> BoxFuture<'_, Result<Server, StartError>> {
    Box::pin(start(settings))
}

async fn start(settings: &Settings) -> Result<Server, StartError> {
    let runtime = Runtime::load_on(&settings.onnxruntime, settings.device, settings.gpu, settings.threads)?;
    let load = if settings.strict { Registry::load } else { Registry::load_valid };
    let registry = Arc::new(load(&settings.bundles, &runtime, settings.batching)?);
    let limits = Limits { max_pixels: settings.max_pixels, ..Limits::default() };
    let decoder = Decoder::new(Arc::clone(&registry), limits);
    let (reporter, health_service) = health_reporter();
    // The reasons of faults contain paths, so they are for everyone only if everything is.
    let health = HealthState::new(reporter, api::grpc_services(), settings.front.api_keys.is_none());
    let archive = match &settings.archive {
        Some(settings) => Some(Box::pin(ServerArchive::open(settings, &decoder, &health)).await?),
        None => None,
    };
    let audit = AuditLog::new(archive.as_ref().map(|server_archive| server_archive.archive.clone()));
    let stats = Arc::new(FrontStats::default());
    let interval = settings.front.reload_interval;
    let ready = health.subscribe_ready();
    let channels = Channels::start(settings.channels.clone(), interval, &registry, &stats, ready)?;
    if settings.channels.is_some() {
        health.offer(Service::Channels);
    }
    let state = ApiState {
        decoder,
        archive: archive.clone(),
        channels: channels.clone(),
        default_options: DefaultOptions { timeout: settings.request_timeout },
        ready: health.subscribe_ready(),
        health: health.clone(),
        audit: audit.clone(),
    };
    let api_settings = ApiSettings {
        request_memory: settings.front.limits.request_memory,
        grpc_compression: settings.grpc_compression,
    };
    let mut router = api::router(state, api_settings, health_service)?;
    // With a separate metrics address, clients of the main port cannot read the metrics.
    if settings.metrics_listen.is_none() {
        router = router.merge(rest::metrics::router());
    }
    let authenticator = Authenticator::start(&settings.front, &stats)?;
    let layers = (RequestIdLayer, AccessLogLayer::new(settings.access_log), ObserveLayer::default());
    let router = authenticator.protect(router).layer(layers);
    metrics::register_front_metrics(&stats);
    metrics::register_build_info();
    register_health_metrics(&health);
    if let Some(address) = settings.metrics_listen {
        rest::metrics::serve_metrics(address, metrics_router(settings, &authenticator)).await?;
    }
    let address = settings.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    let ready = health.subscribe_ready();
    let front = Front::new(listener, router, &settings.front, ready, Arc::clone(&stats))?;
    let parts = FollowedParts {
        registry: &registry,
        authenticator: &authenticator,
        channels: &channels,
        stats: &stats,
        audit: &audit,
        health: &health,
    };
    parts.follow(settings);
    health.publish().await;
    let url = settings.url(address);
    tracing::info!(url, "ready");
    let (drain_wait, drain) = (settings.front.drain_wait, settings.drain_timeout);
    Ok(Server { registry, archive, front, address, url, stats, health, drain_wait, drain })
}

/// Returns the routes of the separate address of the metrics, with a warning if they need a key.
fn metrics_router(settings: &Settings, authenticator: &Authenticator) -> Router {
    if let Some(warning) = settings.metrics_warning() {
        tracing::warn!("{warning}");
        return authenticator.protect(rest::metrics::router());
    }
    rest::metrics::router().into_parts().0
}

impl Server {
    /// Returns the address that the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address as a URL, with the scheme `https` if TLS is on.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the registry of the served bundles.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Returns the archive; `None` if the server runs without one.
    #[must_use]
    pub fn archive(&self) -> Option<Archive> {
        self.archive.as_ref().map(|server_archive| server_archive.archive.clone())
    }

    /// Returns the counters of connections and refused requests.
    #[must_use]
    pub fn stats(&self) -> Arc<FrontStats> {
        Arc::clone(&self.stats)
    }

    /// Serves until `stop` completes, then drains.
    #[must_use]
    pub fn run_until(self, stop: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
        self.run(Box::pin(stop), Box::pin(pending()))
    }

    /// Serves until `stop` completes, then drains; ends immediately if `cut_off` completes.
    #[must_use]
    pub fn run(self, stop: StopSignal, cut_off: StopSignal) -> BoxFuture<'static, ()> {
        Box::pin(self.serve(stop, cut_off))
    }

    async fn serve(self, stop: StopSignal, cut_off: StopSignal) {
        let Self { archive: server_archive, front, health, drain_wait, drain, .. } = self;
        let stop = Box::pin(async move {
            stop.await;
            tracing::info!(
                wait = drain_wait.as_secs(),
                drain = drain.as_secs(),
                "stopping: the server is no longer ready"
            );
            health.begin_stop().await;
            tokio::time::sleep(drain_wait).await;
            tracing::info!("stopping: finishing open requests");
        });
        front.serve(stop, drain, cut_off).await;
        if let Some(server_archive) = server_archive {
            server_archive.archive.close().await;
        }
        tracing::info!("stopped");
    }
}

/// Catches SIGTERM, SIGINT and SIGHUP. Returns futures that complete at the first and at the second SIGTERM or SIGINT.
///
/// # Errors
/// The system's error if the signals cannot be caught.
pub fn catch_signals() -> io::Result<(StopSignal, StopSignal)> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Watched files have receivers of their own. This one keeps SIGHUP from ending a server without such files, and
    // a server that is still starting.
    let mut hangup = signal(SignalKind::hangup())?;
    let (count, first) = watch::channel(0u32);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => count.send_modify(|count| *count += 1),
                _ = interrupt.recv() => count.send_modify(|count| *count += 1),
                _ = hangup.recv() => tracing::info!("SIGHUP received: changed files are loaded again"),
            }
        }
    });
    let second = first.clone();
    Ok((Box::pin(wait_for_count(first, 1)), Box::pin(wait_for_count(second, 2))))
}

async fn wait_for_count(mut count: watch::Receiver<u32>, minimum: u32) {
    let _ = count.wait_for(|count| *count >= minimum).await;
}
