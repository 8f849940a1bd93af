//! Requests that are open when their key is no longer valid.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
};
use cloud_decoder::{
    auth::{GeneratedKey, Scope, generate_key},
    transport::{FrontEvent, FrontSettings},
};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_proto::v1::upload_response;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::{
    devices::{DeviceUpload, connect},
    protected::{ProtectedRouter, infer},
    service,
};

/// Opens a response that never ends, and reads its beginning.
async fn open_stream(protected: &ProtectedRouter, key: &GeneratedKey, content_type: &str) -> Body {
    let request = Request::get("/stream").header("x-api-key", &key.key).header("content-type", content_type);
    let response = protected.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    body
}

#[tokio::test]
async fn open_responses_end_with_the_permission_of_their_key() {
    let (key, other) = (infer("line-3"), infer("other"));
    let both = format!("{}{}", key.toml, other.toml);
    for end in [
        other.toml.clone(),
        format!("{}{}disabled = true\n", other.toml, key.toml),
        format!("{}{}expires = 2020-01-01\n", other.toml, key.toml),
        format!("{}{}", other.toml, key.toml.replace("infer", "archive")),
    ] {
        let protected = ProtectedRouter::new(&both);
        let mut over_http = open_stream(&protected, &key, "application/json").await;
        let mut over_grpc = open_stream(&protected, &key, "application/grpc").await;
        let mut of_other = open_stream(&protected, &other, "application/json").await;
        protected.write(&end);
        assert!(over_http.frame().await.unwrap().is_err(), "a part must not look like the whole");
        let trailers = over_grpc.frame().await.unwrap().unwrap().into_trailers().unwrap();
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains("no longer accepted"), "{status}");
        assert!(over_grpc.frame().await.is_none() && over_http.frame().await.is_none());
        assert!(of_other.frame().now_or_never().is_none(), "another key is not affected");
        assert_eq!(protected.stats.snapshot().count_of(FrontEvent::Revoked), 2);
    }
}

#[tokio::test]
async fn open_responses_end_when_the_file_is_lost_and_outlive_an_invalid_file() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let mut reloads = protected.stats.subscribe_reloads();
    let mut body = open_stream(&protected, &key, "application/json").await;
    protected.write("[[key]]\nname = 'half");
    reloads.wait_for(|reloads| reloads.failed == 1).await.unwrap();
    assert!(body.frame().now_or_never().is_none());
    std::fs::remove_file(&protected.path).unwrap();
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_request_whose_body_is_still_arriving_is_refused() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let (pieces, receiver) = mpsc::channel(1);
    let request = Request::post("/mirror").header("x-api-key", &key.key);
    let request = request.body(Body::from_stream(ReceiverStream::new(receiver))).unwrap();
    let response = tokio::spawn(protected.router.clone().oneshot(request));
    // The second piece fits into the channel when the handler has read the first one.
    for _ in 0..2 {
        pieces.send(Ok::<_, Infallible>(Bytes::from_static(b"piece"))).await.unwrap();
    }
    protected.write(&infer("other").toml);
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(pieces.is_closed(), "the rest of the body is not read");
    assert_eq!(protected.stats.snapshot().count_of(FrontEvent::Revoked), 1);
}

async fn get(url: &str, path: &str, key: &GeneratedKey) -> axum::http::Response<hyper::body::Incoming> {
    let request = Request::get(format!("{url}{path}")).header("x-api-key", &key.key);
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    client.request(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn uploads_and_live_streams_of_a_disabled_key_end_and_nothing_more_is_archived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let device = generate_key("gate-7", &[Scope::Ingest]).unwrap();
    let [viewer, reader] = ["viewer", "reader"].map(|name| generate_key(name, &[Scope::Archive]).unwrap());
    let write = |disabled: &str| {
        let [device, viewer] = [&device, &viewer].map(|key| format!("{}{disabled}", key.toml));
        std::fs::write(path.with_extension("new"), format!("{device}{viewer}{}", reader.toml)).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
    };
    write("");
    let front = FrontSettings {
        api_keys: Some(path.clone()),
        reload_interval: std::time::Duration::from_millis(10),
        ..FrontSettings::default()
    };
    let server = service::start_with(front, |args| {
        args.archive.url = Some(format!("sqlite:{}", folder.path().join("archive.db").display()));
        args.archive.scores = Some(false);
    })
    .await;
    let (url, stats) = (server.url().to_owned(), server.stats());
    tokio::spawn(server.run_until(std::future::pending()));

    let mut live = get(&url, "/v1/live", &viewer).await.into_body();
    let channel = connect(&url, None).await;
    let mut upload = DeviceUpload::open(channel, Some(&device), "gate-7").await.unwrap();
    upload.send_frame(1).await;
    let acknowledged = upload.responses.message().await.unwrap().unwrap().message;
    assert!(matches!(acknowledged, Some(upload_response::Message::Ack(ack)) if ack.number == 1));

    let mut reloads = stats.subscribe_reloads();
    write("disabled = true\n");
    reloads.wait_for(|reloads| reloads.done == 1).await.unwrap();
    upload.send_frame(2).await;
    let status = upload.responses.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    let end = loop {
        match live.frame().await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(_))), "the live stream is cut off: {end:?}");

    let list = get(&url, "/v1/frames", &reader).await.into_body().collect().await.unwrap().to_bytes();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let numbers: Vec<_> = list["frames"].as_array().unwrap().iter().map(|frame| &frame["number"]).collect();
    assert_eq!(numbers, [1], "{list}");
}
