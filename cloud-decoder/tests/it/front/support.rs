//! A front with a small router, and raw clients.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use cloud_decoder::transport::{Front, FrontEvent, FrontSettings, FrontStats};
use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};

/// A time longer than any test, for timeouts that must not expire.
pub(crate) const NEVER: Duration = Duration::from_hours(1);

/// A request that is answered with `hello` and keeps its connection open.
pub(crate) const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";

/// A running front.
pub(crate) struct RunningFront {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Arc<FrontStats>,
    /// Whether the server accepts requests; it is true at the start.
    pub(crate) ready: watch::Sender<bool>,
    /// Starts the drain: no new connections are accepted.
    pub(crate) stop: Option<oneshot::Sender<()>>,
    /// Ends all connections immediately.
    pub(crate) cut_off: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
    /// Receives one message per request to `/slow` that has begun.
    pub(crate) started_requests: mpsc::Receiver<()>,
    /// One permit lets one request to `/slow` end.
    pub(crate) gate: Arc<Semaphore>,
}

impl RunningFront {
    pub(crate) async fn start(settings: &FrontSettings) -> Self {
        Self::start_with(settings, NEVER, Router::new()).await
    }

    /// Starts a front with further routes.
    pub(crate) async fn start_with(settings: &FrontSettings, drain: Duration, extra_routes: Router) -> Self {
        let (start_sender, started_requests) = mpsc::channel(16);
        let gate = Arc::new(Semaphore::new(0));
        let slow = {
            let gate = Arc::clone(&gate);
            move || async move {
                start_sender.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                "at last"
            }
        };
        let router = Router::new()
            .route("/hello", get(|| async { "hello" }))
            .route("/echo", post(|body: Bytes| async { body }))
            .route("/slow", get(slow))
            .merge(extra_routes);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stats = Arc::new(FrontStats::default());
        let ready = watch::Sender::new(true);
        let front = Front::new(listener, router, settings, ready.subscribe(), Arc::clone(&stats)).unwrap();
        let (stop, stop_receiver) = oneshot::channel();
        let (cut_off, cut_off_receiver) = oneshot::channel();
        let task = tokio::spawn(front.serve(
            Box::pin(await_signal(stop_receiver)),
            drain,
            Box::pin(await_signal(cut_off_receiver)),
        ));
        let (stop, cut_off) = (Some(stop), Some(cut_off));
        Self { address, stats, ready, stop, cut_off, task, started_requests, gate }
    }

    pub(crate) fn count(&self, event: FrontEvent) -> u64 {
        self.stats.snapshot().count_of(event)
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn connect(&self) -> RawConnection {
        RawConnection(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends a request over a new connection and returns the response.
    pub(crate) async fn get(&self, path: &str) -> String {
        let mut connection = self.connect().await;
        connection.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        connection.rest().await
    }

    pub(crate) async fn http2(&self) -> Http2 {
        Http2::over(TcpStream::connect(self.address).await.unwrap()).await
    }
}

async fn await_signal(signal: oneshot::Receiver<()>) {
    // An error means that the test has dropped its end of the channel and has ended.
    let _ = signal.await;
}

/// A client that sends arbitrary bytes.
pub(crate) struct RawConnection(pub(crate) TcpStream);

impl RawConnection {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Returns everything until the server closes the connection. A reset counts as a close.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    /// Sends a request, reads the response and keeps the connection open.
    pub(crate) async fn hello(&mut self) {
        self.send(HELLO).await;
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"hello") {
            assert_ne!(self.0.read_buf(&mut bytes).await.unwrap(), 0, "closed");
        }
    }
}

/// One HTTP/2 connection.
pub(crate) struct Http2 {
    pub(crate) requests: http2::SendRequest<Body>,
    /// Completes when the connection ends.
    pub(crate) task: JoinHandle<Result<(), hyper::Error>>,
}

impl Http2 {
    pub(crate) async fn over(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (requests, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self { requests, task: tokio::spawn(connection) }
    }

    pub(crate) fn get(
        &mut self,
        path: &str,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request = Request::get(format!("http://x{path}")).body(Body::empty()).unwrap();
        self.requests.send_request(request)
    }
}
