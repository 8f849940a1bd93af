//! One connection: TLS handshake, protocol detection, requests, and one of the ends in [`ConnectionEnd`].

use std::{convert::Infallible, error::Error, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{
    Request, Version,
    body::{Body as _, Incoming},
    header::{CONNECTION, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tower::Service as _;

use super::{
    ConnectionLimits, FrontEvent, FrontStats,
    activity::{Activity, TrackedBody, TrackedSocket},
    cancel_guard::CancelGuard,
    connection_peer::ConnectionPeer,
    cork::{CorkedStream, PollCounter},
    is_grpc,
    request_body::RequestBody,
    request_memory::{BodyPermit, PeerMemory, RequestMemory},
    strict_http1::StrictHttp1,
};

/// Largest HTTP/2 flow-control window of a request, in bytes. The data in it were received, but no handler has asked
/// for them, so the memory for requests does not include them.
const MAX_STREAM_WINDOW: usize = 1 << 20;
/// The number of requests whose windows fit into the window of their connection.
const STREAMS_PER_WINDOW: u32 = 4;
/// The part of the memory for requests that the window of one request may have.
const MEMORY_PER_WINDOW: usize = 512;
/// Maximum HTTP/2 frame size, larger than the protocol's default, so that a latent fits into one frame and is
/// read in one piece.
const MAX_FRAME_BYTES: u32 = 64 << 10;
/// Maximum number of requests that are cancelled before they are taken up. [`CancelGuard`] lets fewer through, so
/// that this limit ends a connection only if the guard fails. Each occupies about 1 kB and the memory of its header.
const MAX_PENDING_CANCELS: usize = 1024;
/// Maximum number of requests that a connection may lose by violations of HTTP/2 in its lifetime. Each makes the
/// server send a frame, which is kept in memory if the client does not read.
const MAX_STREAM_ERRORS: usize = 1024;
/// Number of bytes of a response that may wait for its client to read before the handler is asked for more.
const MAX_SEND_BUFFER_BYTES: usize = 400 << 10;
/// Buffer size of an HTTP/1 connection in each direction; the header of a request has to fit.
const BUFFER_BYTES: usize = 64 << 10;
/// Maximum time to close a connection that has nothing left to do.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// Time for a last request of an open HTTP/1 connection when the server stops. HTTP/1 has no GOAWAY: a request that a
/// client sends while the server closes the connection would be lost.
const LAST_REQUEST_TIME: Duration = Duration::from_secs(1);

/// The state shared by all connections of a server.
#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
    pub(crate) tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    pub(crate) stats: Arc<FrontStats>,
    pub(crate) memory: Arc<RequestMemory>,
    pub(crate) stopping: Stopping,
    pub(crate) builder: Builder<TokioExecutor>,
}

/// The limits of the bodies of one connection's requests.
#[derive(Debug)]
struct BodyLimits {
    memory: PeerMemory,
    timeout: Duration,
    stats: Arc<FrontStats>,
}

/// The two steps of a stop.
#[derive(Debug, Clone)]
pub(crate) struct Stopping {
    /// Turns false when load balancers should choose another server.
    pub(crate) ready: watch::Receiver<bool>,
    /// Turns true when connections end.
    pub(crate) draining: watch::Receiver<bool>,
}

/// The way in which the server ends a connection.
#[derive(Debug, Clone, Copy)]
enum ConnectionEnd {
    /// At once.
    Immediate(FrontEvent),
    /// After its open requests, announced by GOAWAY or `Connection: close`.
    Graceful(Option<FrontEvent>),
}

/// Builds the server that detects and handles HTTP/1 and HTTP/2.
pub(crate) fn http_builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let stream_window = stream_window(limits.request_memory);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_header_bytes)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_CANCELS)
        .max_local_error_reset_streams(MAX_STREAM_ERRORS)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(STREAMS_PER_WINDOW * stream_window);
    builder
}

/// Returns the HTTP/2 flow-control window of a request: at least the length of the largest frame.
fn stream_window(request_memory: usize) -> u32 {
    (request_memory / MEMORY_PER_WINDOW).clamp(MAX_FRAME_BYTES as usize, MAX_STREAM_WINDOW) as u32
}

impl ConnectionContext {
    /// Serves one connection to its end.
    pub(crate) async fn serve_connection(&self, socket: TcpStream, address: IpAddr) {
        // Small frames must not wait for each other.
        let _ = socket.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.serve_stream(socket, ConnectionPeer::new(address, None)).await;
        };
        let config = Arc::clone(&tls.borrow());
        if let Some(stream) = self.accept_tls(socket, config).await {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
            self.serve_stream(stream, ConnectionPeer::new(address, certificate)).await;
        }
    }

    async fn accept_tls(&self, socket: TcpStream, config: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(config).accept(socket).into_fallible();
        // The future and the stream are dropped after the event is counted, so that a client that detects the end
        // of the connection finds it counted.
        let mut handshake = pin!(timeout(self.limits.handshake_timeout, handshake));
        let result = tokio::select! {
            result = handshake.as_mut() => result,
            () = self.stopping.wait_draining() => return None,
        };
        match result {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err((error, _stream))) => {
                tracing::debug!(%error, "TLS handshake failed");
                self.stats.count(FrontEvent::HandshakeFailure);
            }
            Err(_) => self.stats.count(FrontEvent::HandshakeTimeout),
        }
        None
    }

    async fn serve_stream(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: ConnectionPeer,
    ) {
        let polls = PollCounter::default();
        polls.count_polls(self.serve_http(socket, Arc::new(peer), polls.clone())).await;
    }

    async fn serve_http(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Arc<ConnectionPeer>,
        polls: PollCounter,
    ) {
        let activity = Arc::new(Activity::default());
        let service = {
            let (router, activity) = (self.router.clone(), Arc::clone(&activity));
            let bodies = BodyLimits {
                memory: self.memory.of_peer(peer.address()),
                timeout: self.limits.body_timeout,
                stats: Arc::clone(&self.stats),
            };
            let stopping = self.stopping.clone();
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Arc::clone(&peer));
                let is_http1 = request.version() < Version::HTTP_2;
                if is_http1 {
                    activity.record_http1();
                }
                let stopping = is_http1.then(|| stopping.clone());
                let open_request = activity.begin_request(is_health_watch(&request));
                let (request, permit) = bodies.apply(request);
                let response = router.clone().call(request);
                async move {
                    let mut response = response.await?.map(|body| TrackedBody::new(body, open_request));
                    if let Some(permit) = permit {
                        permit.set_answered();
                    }
                    if stopping.is_some_and(|stopping| stopping.has_begun()) {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let socket = StrictHttp1::new(TrackedSocket::new(socket, Arc::clone(&activity)));
        let (max_cancels, stats) = (self.limits.max_cancels, Arc::clone(&self.stats));
        let socket = CancelGuard::new(socket, max_cancels, polls.clone(), Arc::clone(&activity), stats);
        let io = TokioIo::new(CorkedStream::new(socket, polls));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let end = tokio::select! {
            result = connection.as_mut() => return self.record_result(result, &activity),
            end = self.wait_overdue(&activity) => end,
            () = self.stopping.wait_draining() => {
                if activity.may_be_http1() {
                    tokio::select! {
                        result = connection.as_mut() => return self.record_result(result, &activity),
                        () = sleep(LAST_REQUEST_TIME) => {}
                    }
                }
                ConnectionEnd::Graceful(None)
            }
        };
        match end {
            ConnectionEnd::Immediate(event) => return self.stats.count(event),
            ConnectionEnd::Graceful(event) => event.into_iter().for_each(|event| self.stats.count(event)),
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            result = connection => self.record_result(result, &activity),
            () = wait_finished(&activity) => {}
        }
    }

    /// Waits until the server has to end the connection.
    async fn wait_overdue(&self, activity: &Activity) -> ConnectionEnd {
        let limits = &self.limits;
        let age_deadline =
            limits.max_age.map(|age| Instant::now() + age.mul_f64(rand::random_range(0.9..1.1)));
        if timeout(limits.first_byte_timeout, activity.wait_first_byte()).await.is_err() {
            return ConnectionEnd::Immediate(FrontEvent::FirstByteTimeout);
        }
        // HTTP/1 has its own timer; this one covers clients that have not even sent enough to detect the
        // version.
        sleep(limits.header_timeout).await;
        if !activity.is_protocol_known() {
            return ConnectionEnd::Immediate(FrontEvent::HeaderTimeout);
        }
        let max_age_reached = async {
            match age_deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait_idle(activity, limits.idle_timeout) => ConnectionEnd::Graceful(Some(FrontEvent::IdleTimeout)),
            () = max_age_reached => ConnectionEnd::Graceful(Some(FrontEvent::Aged)),
        }
    }

    fn record_result(&self, result: Result<(), Box<dyn Error + Send + Sync>>, activity: &Activity) {
        let Err(error) = result else { return };
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout) {
            // The header timer also runs between two requests.
            let has_served = activity.begun_requests() > 0;
            self.stats.count(if has_served { FrontEvent::IdleTimeout } else { FrontEvent::HeaderTimeout });
        }
        tracing::debug!(error, "connection ended");
    }
}

impl Stopping {
    /// Returns whether the server has begun to stop, so that clients should open no further requests here.
    fn has_begun(&self) -> bool {
        !*self.ready.borrow() || *self.draining.borrow()
    }

    async fn wait_draining(&self) {
        let mut draining = self.draining.clone();
        // An error means that the server has ended, which has the same effect.
        let _ = draining.wait_for(|draining| *draining).await;
    }
}

/// Waits until no request has been open for `idle_timeout`.
async fn wait_idle(activity: &Activity, idle_timeout: Duration) {
    loop {
        let begun = activity.begun_requests();
        sleep(idle_timeout).await;
        if activity.is_idle() && activity.begun_requests() == begun {
            return;
        }
    }
}

/// Waits until everything is done and sent, for a peer that does not close its side.
async fn wait_finished(activity: &Activity) {
    loop {
        let writes = activity.write_count();
        sleep(LINGER_TIME).await;
        if activity.can_close() && activity.write_count() == writes {
            return;
        }
    }
}

impl BodyLimits {
    /// Applies the limits to the body of a request. Handlers find the permit for its memory among the extensions.
    /// Returns no permit for a request without a body.
    fn apply(&self, mut request: Request<Incoming>) -> (Request<Body>, Option<Arc<BodyPermit>>) {
        if request.body().is_end_stream() {
            return (request.map(|_| Body::empty()), None);
        }
        let permit = Arc::new(self.memory.new_permit());
        request.extensions_mut().insert(Arc::clone(&permit));
        let is_grpc = is_grpc(request.headers());
        let request = request.map(|body| {
            let (permit, stats) = (Arc::clone(&permit), Arc::clone(&self.stats));
            Body::new(RequestBody::new(body, permit, stats, self.timeout, is_grpc))
        });
        (request, Some(permit))
    }
}

/// Returns whether the request is a health watch: a stream that reports changes for as long as its connection
/// lives.
fn is_health_watch<B>(request: &Request<B>) -> bool {
    request.uri().path() == "/grpc.health.v1.Health/Watch"
}
