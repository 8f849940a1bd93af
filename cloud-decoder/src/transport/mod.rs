//! The layer between the network and the router: connections, their limits, TLS, and shutdown.
//!
//! ```text
//! accept ─► permit? ─► TLS handshake ─► first byte ─► header ─► router
//!           no: closed   timeout          timeout       timeout   body timeout
//! ```
//! A connection needs a permit within the total limit and within its peer's limit, or is closed at once. HTTP/1
//! and HTTP/2 (with prior knowledge, or by ALPN) share the port. Every wait for a client has a timeout, and
//! every end is counted ([`FrontStats`]).
//!
//! A body needs memory of the one budget for all requests (`request_memory.rs`) before a piece of it is passed on, and
//! has to arrive at a pace (`request_body.rs`). What a client may cancel is limited too (`cancel_guard.rs`).
//!
//! Shutdown: as soon as the server is not ready, responses over HTTP/1 carry `Connection: close`. After `stop`
//! completes, new connections are not accepted; open ones get GOAWAY or a short time for a last request of HTTP/1, and
//! finish their requests, for at most the drain time; then they are dropped. `cut_off` drops them at once, at any
//! time. The shutdown does not wait for health watches.

mod accept;
mod activity;
mod body_pace;
mod body_refusal;
mod cancel_guard;
mod connection;
mod connection_peer;
mod cork;
mod frame_scanner;
mod limits;
mod machine_memory;
mod memory_share;
mod message_scanner;
mod peers;
mod protocol;
mod readiness;
pub(crate) mod reload;
mod request_body;
mod request_memory;
mod settings;
mod stats;
mod stream_memory;
mod strict_http1;
mod tls;
mod workers;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, thread, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::rustls::ServerConfig;

use self::{
    accept::Acceptor,
    connection::{ConnectionContext, Stopping, http_builder},
    peers::PeerLimits,
    workers::Workers,
};
pub use self::{
    body_refusal::BodyRefusal,
    limits::{ConnectionLimits, MIN_REQUEST_MEMORY, raise_file_limit},
    settings::FrontSettings,
    stats::{FRONT_EVENTS, FrontEvent, FrontSnapshot, FrontStats, ReloadCounts},
    tls::TlsFiles,
};
pub(crate) use self::{
    connection_peer::ConnectionPeer,
    limits::default_max_streams,
    message_scanner::{MessagePrefix, MessageScanner},
    protocol::is_grpc,
    readiness::wait_stopping,
    request_memory::{BodyPermit, HeldMemory, RequestMemory, max_body_bytes},
    stream_memory::StreamMemory,
};
use crate::StartError;

/// A future that completes when the server has to stop. It is boxed, so that the code of the server is compiled
/// once, in this crate, and not again for each type of signal.
pub type StopSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A router with the layer before it.
#[derive(Debug)]
pub struct Front {
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    ready: watch::Receiver<bool>,
    stats: Arc<FrontStats>,
    workers: Workers,
}

/// The open connections and their tasks.
struct OpenConnections {
    connections: Arc<ConnectionContext>,
    peers: Arc<PeerLimits>,
    workers: Workers,
    tasks: JoinSet<()>,
}

impl Front {
    /// Creates the layer for a router. Loads the certificates and reloads them after changes. `ready` turns false when
    /// the server begins to stop.
    ///
    /// # Errors
    /// [`StartError::Tls`] for invalid certificates, [`StartError::Threads`] if the threads cannot be started.
    pub fn new(
        listener: TcpListener,
        router: Router,
        settings: &FrontSettings,
        ready: watch::Receiver<bool>,
        stats: Arc<FrontStats>,
    ) -> Result<Self, StartError> {
        let tls = settings
            .tls
            .clone()
            .map(|files| files.watch_config(settings.reload_interval, Arc::clone(&stats)))
            .transpose()?;
        let workers = Workers::start(thread::available_parallelism().map_or(1, usize::from));
        let workers = workers.map_err(StartError::Threads)?;
        Ok(Self { listener, router, limits: settings.limits.clone(), tls, ready, stats, workers })
    }

    /// Serves until `stop` completes, then lets connections finish for at most `drain`; ends at once when
    /// `cut_off` completes.
    pub async fn serve(self, stop: StopSignal, drain: Duration, cut_off: StopSignal) {
        let Self { listener, router, limits, tls, ready, stats, workers } = self;
        let draining = watch::Sender::new(false);
        let mut open = OpenConnections {
            peers: PeerLimits::new(&limits),
            connections: Arc::new(ConnectionContext {
                router,
                builder: http_builder(&limits),
                memory: RequestMemory::new(limits.request_memory, Arc::clone(&stats)),
                limits,
                tls,
                stats: Arc::clone(&stats),
                stopping: Stopping { ready, draining: draining.subscribe() },
            }),
            workers,
            tasks: JoinSet::new(),
        };
        let graceful = async {
            open.accept_until(Acceptor::new(listener, Arc::clone(&stats)), stop).await;
            draining.send_replace(true);
            if tokio::time::timeout(drain, open.wait_all_ended()).await.is_err() {
                tracing::warn!("the drain time has passed; open requests are cut off");
            }
        };
        tokio::select! {
            () = graceful => {}
            () = cut_off => tracing::warn!("second stop signal received; open requests are cut off"),
        }
        stats.count_many(FrontEvent::CutOff, open.tasks.len() as u64);
        open.tasks.shutdown().await;
    }
}

impl OpenConnections {
    async fn accept_until(&mut self, mut acceptor: Acceptor, mut stop: StopSignal) {
        loop {
            tokio::select! {
                () = &mut stop => return,
                (socket, peer) = acceptor.next_connection() => self.serve_accepted(socket, peer),
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    fn serve_accepted(&mut self, socket: TcpStream, peer: SocketAddr) {
        let stats = &self.connections.stats;
        match self.peers.admit(peer.ip()) {
            Ok(peer_permit) => {
                stats.count(FrontEvent::Accepted);
                let connections = Arc::clone(&self.connections);
                let socket = socket.into_std();
                let (runtime, worker_permit) = self.workers.assign_connection();
                let connection = async move {
                    match socket.and_then(TcpStream::from_std) {
                        Ok(socket) => connections.serve_connection(socket, peer.ip()).await,
                        Err(error) => tracing::debug!(%error, "connection lost"),
                    }
                    connections.stats.count(FrontEvent::Ended);
                    drop((peer_permit, worker_permit));
                };
                self.tasks.spawn_on(connection, runtime);
            }
            Err(event) => {
                tracing::debug!(%peer, ?event, "connection refused");
                stats.count(event);
            }
        }
    }

    async fn wait_all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
