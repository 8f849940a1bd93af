//! Every response names its request, and the access log has a line for it.

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use cloud_decoder::{
    auth::{Scope, generate_key},
    transport::FrontSettings,
};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_proto::v1::{GetBundleRequest, ListBundlesRequest};

use super::{
    process::ServerProcess,
    service::{decoder_client, get, start},
};

/// Sends a request with this id, reads the response to its end, and returns its head.
async fn get_with_id(url: &str, path: &str, id: &str) -> HeaderMap {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let request =
        Request::get(format!("{url}{path}")).header("x-request-id", id).body(Body::empty()).unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    body.collect().await.unwrap();
    head.headers
}

#[tokio::test]
async fn every_response_has_the_id_of_its_request() {
    let server = start(FrontSettings::default()).await;
    let url = server.url().to_owned();
    tokio::spawn(server.run_until(std::future::pending()));
    for path in ["/readyz", "/v1/bundles", "/v1/bundles/nothing", "/nowhere"] {
        assert_eq!(get_with_id(&url, path, "line-3/7").await["x-request-id"], "line-3/7", "{path}");
        let made = get(&url, path).await.headers()["x-request-id"].clone();
        assert_eq!(made.len(), 32, "{path}: {made:?}");
    }
    let mut client = decoder_client(&url).await;
    let mut request = tonic::Request::new(ListBundlesRequest {});
    request.metadata_mut().insert("x-request-id", "call-1".parse().unwrap());
    let response = client.list_bundles(request).await.unwrap();
    assert_eq!(response.metadata().get("x-request-id").unwrap(), "call-1");
    let status = client.get_bundle(GetBundleRequest { name: "nothing".into() }).await.unwrap_err();
    assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 32);
}

#[tokio::test]
async fn the_access_log_has_a_line_per_request_without_its_query() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let key = generate_key("line-3", &[Scope::Infer]).unwrap();
    std::fs::write(&path, &key.toml).unwrap();
    let mut server = ServerProcess::start(&["--access-log", "--api-keys", path.to_str().unwrap()]);
    get_with_id(&server.url, "/readyz?verbose&token=secret", "request-1").await;
    let line = server.wait_for_log("request_id=\"request-1\"");
    for part in [
        " access: ",
        "method=\"GET\"",
        "path=\"/readyz\"",
        "status=200",
        "complete=true",
        "peer=\"127.0.0.1\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("secret") && !line.contains("verbose"), "{line}");

    let mut client = decoder_client(&server.url).await;
    let mut request = tonic::Request::new(GetBundleRequest { name: "nothing".into() });
    request.metadata_mut().insert("x-request-id", "request-2".parse().unwrap());
    request.metadata_mut().insert("x-api-key", key.key.parse().unwrap());
    client.get_bundle(request).await.unwrap_err();
    let line = server.wait_for_log("request_id=\"request-2\"");
    for part in ["rpc=\"lopside.v1.DecoderService/GetBundle\"", "grpc_status=5", "key=\"line-3\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
