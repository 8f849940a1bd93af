//! One connection: TLS handshake, protocol detection, requests, and one of the ends in [`ConnectionEnd`].

use std::{convert::Infallible, error::Error, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{
    Request, Version,
    body::Incoming,
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
use tower_http::timeout::TimeoutBody;

use crate::transport::is_grpc;

use super::{
    ConnectionLimits, FrontEvent, FrontStats,
    activity::{Activity, TrackedBody, TrackedSocket},
    cork::{CorkedStream, PollCounter},
    strict_http1::StrictHttp1,
};

/// HTTP/2 flow-control windows in bytes: per request, and per connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Maximum HTTP/2 frame size, larger than the protocol's default, so that a latent fits into one frame and is
/// read in one piece.
const MAX_FRAME_BYTES: u32 = 64 << 10;
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
    pub(crate) stopping: Stopping,
    pub(crate) builder: Builder<TokioExecutor>,
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
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

impl ConnectionContext {
    /// Serves one connection to its end.
    pub(crate) async fn serve_connection(&self, socket: TcpStream) {
        // Small frames must not wait for each other.
        let _ = socket.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.serve_stream(socket).await };
        let config = Arc::clone(&tls.borrow());
        if let Some(stream) = self.accept_tls(socket, config).await {
            self.serve_stream(stream).await;
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

    async fn serve_stream(&self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let polls = PollCounter::default();
        polls.count_polls(self.serve_http(socket, polls.clone())).await;
    }

    async fn serve_http(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        polls: PollCounter,
    ) {
        let activity = Arc::new(Activity::default());
        let service = {
            let (router, activity, body_timeout) =
                (self.router.clone(), activity.clone(), self.limits.body_timeout);
            let stopping = self.stopping.clone();
            service_fn(move |request: Request<Incoming>| {
                let is_http1 = request.version() < Version::HTTP_2;
                if is_http1 {
                    activity.record_http1();
                }
                let stopping = is_http1.then(|| stopping.clone());
                let open_request = activity.begin_request(is_health_watch(&request));
                let response = router.clone().call(with_body_timeout(request, body_timeout));
                async move {
                    let mut response = response.await?.map(|body| TrackedBody::new(body, open_request));
                    if stopping.is_some_and(|stopping| stopping.has_begun()) {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let socket = StrictHttp1::new(TrackedSocket::new(socket, Arc::clone(&activity)));
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
        sleep(limits.first_byte_timeout).await;
        if !activity.has_received() {
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

fn with_body_timeout(request: Request<Incoming>, body_timeout: Duration) -> Request<Body> {
    if is_grpc(request.headers()) {
        request.map(Body::new)
    } else {
        request.map(|body| Body::new(TimeoutBody::new(body_timeout, body)))
    }
}

/// Returns whether the request is a health watch: a stream that reports changes for as long as its connection
/// lives.
fn is_health_watch<B>(request: &Request<B>) -> bool {
    request.uri().path() == "/grpc.health.v1.Health/Watch"
}
