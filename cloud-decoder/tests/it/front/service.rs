//! The whole server with a bundle.

use std::{net::Ipv4Addr, path::PathBuf};

use axum::{
    body::Body,
    http::{Request, Response},
};
use cloud_decoder::{
    ServeArgs, Settings,
    serve::{self, Server},
    transport::FrontSettings,
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_decoder::Device;
use lopside_proto::v1::decoder_service_client::DecoderServiceClient;
use serde_json::Value;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::support::NEVER;

/// Starts a server of a bundle of the repository.
pub(crate) async fn start(front: FrontSettings) -> Server {
    start_with(front, |_| {}).await
}

/// Starts a server with further options.
pub(crate) async fn start_with(front: FrontSettings, configure: impl FnOnce(&mut ServeArgs)) -> Server {
    serve::start_server(&settings(front, configure)).await.unwrap()
}

/// Returns the settings of such a server.
pub(crate) fn settings(front: FrontSettings, configure: impl FnOnce(&mut ServeArgs)) -> Settings {
    let onnxruntime = std::env::var_os("ORT_DYLIB_PATH");
    let mut args = ServeArgs {
        bundles: vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion")],
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        device: Some(Device::Cpu),
        onnxruntime: Some(onnxruntime.expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`").into()),
        threads: Some(1),
        ..ServeArgs::default()
    };
    configure(&mut args);
    Settings { drain_timeout: NEVER, front, ..Settings::merge(args).unwrap() }
}

pub(crate) async fn get(url: &str, path: &str) -> Response<Incoming> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    client.get(format!("{url}{path}").parse().unwrap()).await.unwrap()
}

pub(crate) async fn status(url: &str, path: &str) -> u16 {
    get(url, path).await.status().as_u16()
}

/// Returns the status of the response to a request with a key.
pub(crate) async fn status_with_key(url: &str, path: &str, key: &str) -> u16 {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let request = Request::get(format!("{url}{path}")).header("x-api-key", key);
    client.request(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

pub(crate) async fn json(response: Response<Incoming>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Returns a client of the gRPC API.
pub(crate) async fn decoder_client(url: &str) -> DecoderServiceClient<Channel> {
    DecoderServiceClient::new(Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap())
}

pub(crate) async fn health_client(url: &str) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn a_stopping_server_reports_not_ready_and_serves_until_the_drain() {
    let server = start(FrontSettings { drain_wait: NEVER, ..FrontSettings::default() }).await;
    let url = server.url().to_owned();
    let (stop, stop_receiver) = oneshot::channel::<()>();
    let (cut_off, cut_off_receiver) = oneshot::channel::<()>();
    let stop_signal = async move { stop_receiver.await.unwrap() };
    let task = tokio::spawn(
        server.run(Box::pin(stop_signal), Box::pin(async move { cut_off_receiver.await.unwrap() })),
    );

    let mut streams = Vec::new();
    for service in ["", "lopside.v1.DecoderService"] {
        let mut health = health_client(&url).await;
        let request = HealthCheckRequest { service: service.into() };
        let mut stream = health.watch(request).await.unwrap().into_inner();
        let status = stream.message().await.unwrap().unwrap().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
        streams.push(stream);
    }
    assert_eq!(status(&url, "/readyz").await, 200);
    stop.send(()).unwrap();
    for stream in &mut streams {
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
    assert_eq!(status(&url, "/readyz").await, 503);
    assert_eq!(status(&url, "/healthz").await, 200);
    for path in ["/v2/health/ready", "/v2/models/fashion/ready"] {
        let response = get(&url, path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["connection"], "close");
        let body = json(response).await;
        assert_eq!((&body["ready"], &body["error"]), (&false.into(), &"the server is stopping".into()));
    }
    assert_eq!(json(get(&url, "/v2/health/live").await).await["live"], true);
    assert_eq!(status(&url, "/v1/bundles").await, 200, "new connections are still served");
    cut_off.send(()).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn health_streams_do_not_delay_a_stop() {
    let server = start(FrontSettings::default()).await;
    let mut health = health_client(server.url()).await;
    let (stop, stop_receiver) = oneshot::channel::<()>();
    let stats = server.stats();
    let task = tokio::spawn(server.run_until(async move { stop_receiver.await.unwrap() }));
    let mut stream = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap();
    stop.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(stats.snapshot().count_of(cloud_decoder::transport::FrontEvent::CutOff), 0);
}
