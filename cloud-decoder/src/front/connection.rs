//! One connection: TLS handshake, protocol detection, requests, and one of the ends in [`End`].

use std::{convert::Infallible, error::Error, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, service::service_fn};
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

use crate::grpc::is_grpc;

use super::{
    ConnectionLimits, Event, FrontStats,
    activity::{Activity, LastBody, Told},
    cork::{Cork, Turns},
};

/// HTTP/2 flow-control windows in bytes: per request, and per connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Maximum HTTP/2 frame size, larger than the protocol's default, so that a latent fits into one frame and is
/// read in one piece.
const FRAME_BYTES: u32 = 64 << 10;
/// Buffer size of an HTTP/1 connection in each direction; the header of a request has to fit.
const BUFFER_BYTES: usize = 64 << 10;
/// Maximum time to close a connection that has nothing left to do.
const LINGER: Duration = Duration::from_secs(2);

/// The state shared by all connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
    pub(crate) tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    pub(crate) stats: Arc<FrontStats>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) builder: Builder<TokioExecutor>,
}

/// The way in which the server ends a connection.
#[derive(Debug, Clone, Copy)]
enum End {
    /// At once.
    Cut(Event),
    /// After its open requests, announced by GOAWAY or `Connection: close`.
    Leave(Option<Event>),
}

/// Builds the server that detects and handles HTTP/1 and HTTP/2.
pub(crate) fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(BUFFER_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping_timeout)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

impl Connections {
    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, socket: TcpStream) {
        // Small frames must not wait for each other.
        let _ = socket.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.drive(socket).await };
        let config = Arc::clone(&tls.borrow());
        if let Some(stream) = self.handshake(socket, config).await {
            self.drive(stream).await;
        }
    }

    async fn handshake(&self, socket: TcpStream, config: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(config).accept(socket).into_fallible();
        // The future and the stream are dropped after the event is counted, so that a client that sees the
        // connection closed finds it counted.
        let mut handshake = pin!(timeout(self.limits.handshake, handshake));
        let shaken = tokio::select! {
            shaken = handshake.as_mut() => shaken,
            () = drained(self.draining.clone()) => return None,
        };
        match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err((error, _stream))) => {
                tracing::debug!(%error, "TLS handshake failed");
                self.stats.count(Event::HandshakeFailure);
            }
            Err(_) => self.stats.count(Event::HandshakeTimeout),
        }
        None
    }

    async fn drive(&self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let turns = Turns::default();
        turns.count(self.converse(socket, turns.clone())).await;
    }

    async fn converse(&self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, turns: Turns) {
        let activity = Arc::new(Activity::default());
        let service = {
            let (router, activity, body_timeout) = (self.router.clone(), activity.clone(), self.limits.body);
            service_fn(move |request: Request<Incoming>| {
                let open = activity.begin(is_health_watch(&request));
                let answer = router.clone().call(with_timeout(request, body_timeout));
                async move { Ok::<_, Infallible>(answer.await?.map(|body| LastBody::new(body, open))) }
            })
        };
        let io = TokioIo::new(Cork::new(Told::new(socket, Arc::clone(&activity)), turns));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let end = tokio::select! {
            result = connection.as_mut() => return self.note(result, &activity),
            end = self.overdue(&activity) => end,
            () = drained(self.draining.clone()) => End::Leave(None),
        };
        match end {
            End::Cut(event) => return self.stats.count(event),
            End::Leave(event) => event.into_iter().for_each(|event| self.stats.count(event)),
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            result = connection => self.note(result, &activity),
            () = finished(&activity) => {}
        }
    }

    /// Waits until the server has to end the connection.
    async fn overdue(&self, activity: &Activity) -> End {
        let limits = &self.limits;
        let age = limits.max_age.map(|age| Instant::now() + age.mul_f64(rand::random_range(0.9..1.1)));
        sleep(limits.first_byte).await;
        if !activity.heard() {
            return End::Cut(Event::FirstByteTimeout);
        }
        // HTTP/1 has its own timer; this one covers clients that have not even sent enough to detect the
        // version.
        sleep(limits.header).await;
        if !activity.speaks() {
            return End::Cut(Event::HeaderTimeout);
        }
        let aged = async {
            match age {
                Some(age) => sleep_until(age).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = idle(activity, limits.idle) => End::Leave(Some(Event::IdleTimeout)),
            () = aged => End::Leave(Some(Event::Aged)),
        }
    }

    fn note(&self, result: Result<(), Box<dyn Error + Send + Sync>>, activity: &Activity) {
        let Err(error) = result else { return };
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout) {
            // The header timer also runs between two requests.
            let served = activity.begun() > 0;
            self.stats.count(if served { Event::IdleTimeout } else { Event::HeaderTimeout });
        }
        tracing::debug!(error, "connection ended");
    }
}

/// Waits until no request has been open for `time`.
async fn idle(activity: &Activity, time: Duration) {
    loop {
        let begun = activity.begun();
        sleep(time).await;
        if activity.is_idle() && activity.begun() == begun {
            return;
        }
    }
}

/// Waits until everything is done and sent, for a peer that does not close its side.
async fn finished(activity: &Activity) {
    loop {
        let writes = activity.writes();
        sleep(LINGER).await;
        if activity.is_finished() && activity.writes() == writes {
            return;
        }
    }
}

async fn drained(mut draining: watch::Receiver<bool>) {
    // An error means that the server has gone, which has the same effect.
    let _ = draining.wait_for(|draining| *draining).await;
}

fn with_timeout(request: Request<Incoming>, time: Duration) -> Request<Body> {
    if is_grpc(request.headers()) {
        request.map(Body::new)
    } else {
        request.map(|body| Body::new(TimeoutBody::new(time, body)))
    }
}

/// Returns whether the request is a health watch: a stream that reports changes for as long as its connection
/// lives.
fn is_health_watch<B>(request: &Request<B>) -> bool {
    request.uri().path() == "/grpc.health.v1.Health/Watch"
}
