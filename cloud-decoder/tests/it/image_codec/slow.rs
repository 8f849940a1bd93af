//! A head that takes seconds for a small image: its time is predicted, and its run ends with the request.

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use axum::http::{Request, StatusCode, response};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    bundles::{TestImage, slow_photo},
    service::send,
};
use crate::front::process::ServerProcess;

/// A server, the frame of an image, and the time that the head `slow` takes for it.
struct SlowServer {
    process: ServerProcess,
    frame: Vec<u8>,
    full_time: Duration,
    _folder: TempDir,
}

impl SlowServer {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = slow_photo(folder.path());
        let frame = TestImage::new(&bundle.space, [30, 30], false).frame(&bundle.space);
        let process = ServerProcess::start_bundle(folder.path(), &[]);
        let mut server = Self { process, frame, full_time: Duration::ZERO, _folder: folder };
        let started_at = Instant::now();
        assert_eq!(server.decode("slow", None).await.0.status, StatusCode::OK);
        server.full_time = started_at.elapsed();
        server
    }

    /// Decodes the frame, with the default timeout or with this one.
    async fn decode(&self, head: &str, timeout: Option<Duration>) -> (response::Parts, Vec<u8>) {
        let mut request = Request::post(format!("/v1/bundles/photo/decode?head={head}"));
        if let Some(timeout) = timeout {
            request = request.header("lopside-timeout-ms", timeout.as_millis().max(1) as u64);
        }
        send(&self.process.url, request, self.frame.clone()).await
    }

    /// Sends a request for the head `slow`, and returns its connection when its run has begun.
    async fn begin(&self) -> TcpStream {
        let address = self.process.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = self.frame.len();
        write!(
            stream,
            "POST /v1/bundles/photo/decode?head=slow HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&self.frame).unwrap();
        self.wait_for_jobs(1).await;
        stream
    }

    /// Waits until the head `slow` has this number of jobs.
    async fn wait_for_jobs(&self, expected: u64) {
        while self.jobs().await != Some(expected) {
            tokio::task::yield_now().await;
        }
    }

    /// Returns the number of jobs of the head `slow`, from the metrics.
    async fn jobs(&self) -> Option<u64> {
        let (_, body) = send(&self.process.url, Request::get("/metrics"), Vec::new()).await;
        let text = String::from_utf8(body).unwrap();
        let mut lines = text.lines().filter(|line| line.starts_with("lopside_jobs{"));
        lines.find(|line| line.contains("head=\"slow\""))?.rsplit_once(' ')?.1.parse().ok()
    }
}

#[tokio::test]
async fn a_run_ends_when_its_caller_leaves() {
    let server = SlowServer::start().await;
    let connection = server.begin().await;
    tokio::time::sleep(server.full_time / 4).await;
    assert_eq!(server.jobs().await, Some(1), "the run has not ended by itself");
    drop(connection);
    let left_at = Instant::now();
    server.wait_for_jobs(0).await;
    let rest = left_at.elapsed();
    assert!(rest < server.full_time / 2, "{rest:?} of {:?}", server.full_time);
    // The session is in order.
    assert_eq!(server.decode("slow", None).await.0.status, StatusCode::OK);
}

#[tokio::test]
async fn a_bundle_lists_the_time_that_its_heads_take() {
    let server = SlowServer::start().await;
    let (_, body) = send(&server.process.url, Request::get("/v1/bundles/photo"), Vec::new()).await;
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    let slow = bundle["heads"].as_array().unwrap().iter().find(|head| head["name"] == "slow").unwrap();
    assert!(slow["seconds_per_megapixel"].as_f64().unwrap() > 0.0, "{slow}");
}

#[tokio::test]
async fn a_request_that_cannot_be_done_in_time_is_refused_before_it_is_decoded() {
    let server = SlowServer::start().await;
    let error = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["error"].to_string();
    let (parts, body) = server.decode("slow", Some(server.full_time / 4)).await;
    assert_eq!(parts.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(error(&body).contains("takes about"), "{}", error(&body));
    assert!(error(&body).contains("--request-timeout-ms"), "{}", error(&body));

    // Alone, the request would be done in time.
    let connection = server.begin().await;
    let sent_at = Instant::now();
    let (parts, body) = server.decode("slow", Some(server.full_time * 6 / 5)).await;
    assert_eq!(parts.status, StatusCode::TOO_MANY_REQUESTS, "{}", error(&body));
    assert!(parts.headers.contains_key("retry-after"));
    assert!(sent_at.elapsed() < server.full_time / 2, "it is refused at once");
    // Another head has nothing ahead of it.
    assert_eq!(server.decode("plain", None).await.0.status, StatusCode::OK);
    drop(connection);
}
