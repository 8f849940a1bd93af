//! The memory for requests, and the time in which their bodies have to arrive, over real connections.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::body::Bytes;
use cloud_decoder::{
    auth::{Scope, generate_key},
    transport::{ConnectionLimits, FrontEvent, FrontSettings, FrontStats},
};
use flate2::{Compression, write::GzEncoder};
use http_body_util::BodyExt as _;
use hyper::Request;
use lopside_proto::inference::{
    ServerLiveRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
};
use tokio::net::TcpSocket;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    connections::without_timeouts,
    service,
    support::Http2,
    uploads::{INFER, STREAM, Upload, grpc_call, grpc_status, prefix},
};

/// The memory for requests. One address may hold 64 MB of it, which is 32 MB of bodies, and one body has at most 25.6.
const MEMORY: usize = 128_000_000;
const MEGABYTE: usize = 1_000_000;

/// A server with little memory for requests.
struct Cloud {
    url: String,
    address: SocketAddr,
    stats: Arc<FrontStats>,
}

impl Cloud {
    async fn start(limits: ConnectionLimits) -> Self {
        let limits = ConnectionLimits { request_memory: MEMORY, ..limits };
        Self::start_front(FrontSettings { limits, ..FrontSettings::default() }).await
    }

    async fn start_front(front: FrontSettings) -> Self {
        let server = service::start(front).await;
        let (url, address, stats) = (server.url().to_owned(), server.address(), server.stats());
        tokio::spawn(server.run_until(std::future::pending()));
        Self { url, address, stats }
    }

    /// Connects from an address of this machine.
    async fn connect_from(&self, last: u8) -> Http2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        Http2::over(socket.connect(self.address).await.unwrap()).await
    }

    fn count(&self, event: FrontEvent) -> u64 {
        self.stats.snapshot().count_of(event)
    }

    /// Waits until the bodies of requests occupy so many bytes.
    async fn wait_for_memory(&self, is_reached: impl Fn(usize) -> bool) {
        while !is_reached(self.stats.snapshot().request_memory as usize) {
            tokio::task::yield_now().await;
        }
    }
}

fn zeros(megabytes: usize) -> Bytes {
    vec![0; megabytes * MEGABYTE].into()
}

/// Sends the beginning of a message that never ends, and waits until it has arrived.
async fn hold(cloud: &Cloud, upload: &Upload, megabytes: usize) {
    let before = cloud.stats.snapshot().request_memory as usize;
    upload.send(prefix(0, 25 * MEGABYTE)).await;
    upload.send(zeros(megabytes)).await;
    cloud.wait_for_memory(|bytes| bytes >= before + 2 * megabytes * MEGABYTE).await;
}

#[tokio::test]
async fn unfinished_messages_hold_at_most_half_of_the_memory_and_return_it() {
    let cloud = Cloud::start(without_timeouts()).await;
    let client = cloud.connect_from(1).await;
    let first = Upload::call(&client, INFER);
    hold(&cloud, &first, 20).await;
    // A second one, and others on further connections of the same address, do not fit.
    for _ in 0..3 {
        let client = cloud.connect_from(1).await;
        let refused = Upload::call(&client, INFER);
        refused.send(prefix(0, 25 * MEGABYTE)).await;
        refused.send(zeros(20)).await;
        let status = grpc_status(refused.finish().await).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
        assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    }
    assert_eq!(cloud.count(FrontEvent::MemoryRefused), 3);
    cloud.wait_for_memory(|bytes| bytes < 41 * MEGABYTE).await;
    // Another address has its own half.
    let other = cloud.connect_from(2).await;
    let second = Upload::call(&other, INFER);
    hold(&cloud, &second, 20).await;
    // Small calls of both pass.
    let mut live = GrpcInferenceServiceClient::connect(cloud.url.clone()).await.unwrap();
    assert!(live.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    first.cancel().await;
    second.cancel().await;
    cloud.wait_for_memory(|bytes| bytes == 0).await;

    // A message that is sent to its end is answered, whatever the answer is.
    let whole = Upload::call(&client, INFER);
    whole.send(prefix(0, 20 * MEGABYTE)).await;
    whole.send(zeros(20)).await;
    assert_eq!(grpc_status(whole.finish().await).await.code(), Code::InvalidArgument);
    cloud.wait_for_memory(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_before_it_arrives() {
    let cloud = Cloud::start(without_timeouts()).await;
    let client = cloud.connect_from(1).await;
    for (flag, encoding) in [(0, "identity"), (1, "gzip")] {
        let head = grpc_call(INFER).header("grpc-encoding", encoding);
        let upload = Upload::start(&client, head);
        upload.send(prefix(flag, 26 * MEGABYTE)).await;
        // The body is still open.
        let status = grpc_status(upload.response.await.unwrap()).await;
        assert_eq!(status.code(), Code::OutOfRange, "{status}");
    }
    let upload = Upload::start(&client, Request::post("http://x/v2/models/fashion/infer"));
    upload.send(zeros(26)).await;
    assert_eq!(upload.finish().await.status(), 413);
    cloud.wait_for_memory(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn a_rest_body_without_memory_is_503_with_a_retry_time() {
    let cloud = Cloud::start(without_timeouts()).await;
    let client = cloud.connect_from(1).await;
    let first = Upload::call(&client, INFER);
    hold(&cloud, &first, 20).await;
    for path in ["/v2/models/fashion/infer", "/v2/repository/index", "/v1/bundles/fashion/decode"] {
        let refused = Upload::start(&client, Request::post(format!("http://x{path}")));
        refused.send(zeros(15)).await;
        let response = refused.finish().await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["retry-after"].as_bytes()),
            (503, &b"1"[..])
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&body).unwrap().contains("memory for requests"), "{body:?}");
    }
    // The same for the parts of a form.
    let head = Request::post("http://x/v1/bundles/fashion/decode");
    let form = Upload::start(&client, head.header("content-type", "multipart/form-data; boundary=part"));
    form.send(&b"--part\r\ncontent-disposition: form-data; name=\"frame\"\r\n\r\n"[..]).await;
    form.send(zeros(15)).await;
    assert_eq!(form.finish().await.status(), 503);
    first.cancel().await;
}

#[tokio::test]
async fn what_expands_counts_before_it_expands() {
    let cloud = Cloud::start(without_timeouts()).await;
    let client = cloud.connect_from(1).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&zeros(15)).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < MEGABYTE / 2);
    let first = Upload::call(&client, INFER);
    hold(&cloud, &first, 20).await;
    assert_eq!(send_compressed(&client, &bomb).await, (Code::ResourceExhausted, 503));
    first.cancel().await;
    cloud.wait_for_memory(|bytes| bytes == 0).await;
    // With enough memory, the zeros are looked at, and are neither a message nor JSON.
    assert_eq!(send_compressed(&client, &bomb).await, (Code::InvalidArgument, 400));
}

/// Sends the same compressed data over gRPC and over REST, and returns both statuses.
async fn send_compressed(client: &Http2, data: &[u8]) -> (Code, u16) {
    let call = Upload::start(client, grpc_call(INFER).header("grpc-encoding", "gzip"));
    call.send([&prefix(1, data.len())[..], data].concat()).await;
    let status = grpc_status(call.finish().await).await;
    let head = Request::post("http://x/v2/models/fashion/infer").header("content-encoding", "gzip");
    let request = Upload::start(client, head);
    request.send(data.to_vec()).await;
    (status.code(), request.finish().await.status().as_u16())
}

#[tokio::test]
async fn one_key_holds_at_most_half_from_any_number_of_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let [shared, other] = ["shared", "other"].map(|name| generate_key(name, &[Scope::Infer]).unwrap());
    fs::write(&path, format!("{}{}", shared.toml, other.toml)).unwrap();
    let limits = ConnectionLimits { request_memory: MEMORY, ..without_timeouts() };
    let cloud =
        Cloud::start_front(FrontSettings { limits, api_keys: Some(path), ..FrontSettings::default() }).await;
    let (first, second) = (cloud.connect_from(1).await, cloud.connect_from(2).await);
    let call = |client: &Http2, key: &str| Upload::start(client, grpc_call(INFER).header("x-api-key", key));
    let held = call(&first, &shared.key);
    hold(&cloud, &held, 20).await;
    let refused = call(&second, &shared.key);
    refused.send(prefix(0, 25 * MEGABYTE)).await;
    refused.send(zeros(20)).await;
    let status = grpc_status(refused.finish().await).await;
    assert!(status.code() == Code::ResourceExhausted && status.message().contains("API key"), "{status}");
    let passed = call(&second, &other.key);
    passed.send(prefix(0, 20 * MEGABYTE)).await;
    passed.send(zeros(20)).await;
    assert_eq!(grpc_status(passed.finish().await).await.code(), Code::InvalidArgument);
    // Without a key, nothing is received.
    let anonymous = Upload::call(&second, INFER);
    assert_eq!(grpc_status(anonymous.response.await.unwrap()).await.code(), Code::Unauthenticated);
    held.cancel().await;
}

#[tokio::test]
async fn a_message_that_stops_ends_its_call_and_an_idle_stream_goes_on() {
    let limits = ConnectionLimits { body_timeout: Duration::from_millis(50), ..without_timeouts() };
    let cloud = Cloud::start(limits).await;
    let client = cloud.connect_from(1).await;
    let idle = Upload::call(&client, STREAM);
    idle.send(prefix(0, 0)).await;
    let part_of_a_prefix = prefix(0, 9)[..3].to_vec();
    let part_of_a_message = [prefix(0, 9), vec![0; 4]].concat();
    for (number, beginning) in [part_of_a_prefix, part_of_a_message].iter().enumerate() {
        for method in [INFER, STREAM] {
            let stopped = Upload::call(&client, method);
            stopped.send(beginning.clone()).await;
            let status = grpc_status(stopped.response.await.unwrap()).await;
            assert_eq!(status.code(), Code::DeadlineExceeded, "{method} {beginning:?}: {status}");
        }
        assert_eq!(cloud.count(FrontEvent::BodyTimeout), 2 * (number as u64 + 1));
    }
    // A call with a whole message, whose end is missing.
    let unended = Upload::call(&client, INFER);
    unended.send(prefix(0, 0)).await;
    let status = grpc_status(unended.response.await.unwrap()).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // The idle stream has waited longer than that, and still takes messages.
    idle.send(prefix(0, 0)).await;
    let response = idle.finish().await.into_body().collect().await.unwrap();
    assert_eq!(response.trailers().unwrap()["grpc-status"], "0");
    let bytes = response.to_bytes();
    let (mut rest, mut answers) = (&bytes[..], 0);
    while let Some((prefix, after)) = rest.split_at_checked(5) {
        rest = &after[u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize..];
        answers += 1;
    }
    assert_eq!((answers, rest.len()), (2, 0));
}
