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
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use lopside_archive::Archive;
use lopside_decoder::{Decoder, Registry, Runtime};
use lopside_latent::Limits;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::MissedTickBehavior,
};
use tonic_health::server::health_reporter;

use crate::{
    Settings, StartError,
    api::{
        self,
        request_options::DefaultOptions,
        rest::{self, ApiState},
    },
    archive::ServerArchive,
    auth,
    channels::Channels,
    telemetry::{calls::ObserveLayer, metrics},
    transport::{Front, FrontStats, Readiness, StopSignal},
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
    readiness: Readiness,
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
    let registry = Arc::new(Registry::load(&settings.bundles, &runtime, settings.batching)?);
    let limits = Limits { max_pixels: settings.max_pixels, ..Limits::default() };
    let decoder = Decoder::new(Arc::clone(&registry), limits);
    let (health, health_service) = health_reporter();
    let readiness = Readiness::new_ready(health, api::grpc_services()).await;
    let archive = match &settings.archive {
        Some(settings) => {
            Some(Box::pin(ServerArchive::open(settings, &decoder, readiness.subscribe())).await?)
        }
        None => None,
    };
    let stats = Arc::new(FrontStats::default());
    let interval = settings.front.reload_interval;
    let channels =
        Channels::start(settings.channels.clone(), interval, &registry, &stats, readiness.subscribe())?;
    let state = ApiState {
        decoder,
        archive: archive.clone(),
        channels,
        default_options: DefaultOptions { timeout: settings.request_timeout },
        ready: readiness.subscribe(),
    };
    let mut router = api::router(state, health_service)?;
    // With a separate metrics address, clients of the main port cannot read the metrics.
    if settings.metrics_listen.is_none() {
        router = router.merge(rest::metrics::router());
    }
    let router = auth::require_keys(router, &settings.front, &stats)?.layer(ObserveLayer::default());
    metrics::register_front_metrics(&stats);
    if let Some(address) = settings.metrics_listen {
        rest::metrics::serve_metrics(address).await?;
    }
    if let Some(every) = settings.watch_interval {
        tokio::spawn(watch_folders(Arc::downgrade(&registry), every));
    }
    let address = settings.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    let front = Front::new(listener, router, &settings.front, readiness.subscribe(), Arc::clone(&stats))?;
    let url = settings.url(address);
    tracing::info!(url, "ready");
    let (drain_wait, drain) = (settings.front.drain_wait, settings.drain_timeout);
    Ok(Server { registry, archive, front, address, url, stats, readiness, drain_wait, drain })
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
        let Self { archive: server_archive, front, readiness, drain_wait, drain, .. } = self;
        let stop = Box::pin(async move {
            stop.await;
            tracing::info!(
                wait = drain_wait.as_secs(),
                drain = drain.as_secs(),
                "stopping: the server is no longer ready"
            );
            readiness.set_not_ready().await;
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

/// Checks the bundles' folders for changes at every interval, for as long as the registry exists.
async fn watch_folders(registry: Weak<Registry>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(registry) = registry.upgrade() else { return };
        let _ = tokio::task::spawn_blocking(move || registry.refresh()).await;
    }
}

async fn wait_for_count(mut count: watch::Receiver<u32>, minimum: u32) {
    let _ = count.wait_for(|count| *count >= minimum).await;
}
