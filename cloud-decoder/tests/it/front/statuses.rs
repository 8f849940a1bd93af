//! The status of a call in the metrics, which a stream has only at its end.

use axum::body::Body;
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use super::{
    process::ServerProcess,
    service::get,
    support::Http2,
    uploads::{STREAM, Upload, grpc_call, prefix},
};

/// Returns the number of recorded calls of `ModelStreamInfer` with this status.
async fn count(url: &str, status: &str) -> u64 {
    let body = get(url, "/metrics").await.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    let lines = text.lines().filter(|line| {
        line.starts_with("rpc_server_call_duration_seconds_count")
            && line.contains(&STREAM[1..])
            && line.contains(&format!("\"{status}\""))
    });
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64).sum()
}

#[tokio::test]
async fn a_stream_that_fails_at_its_end_is_not_counted_as_ok() {
    let server = ServerProcess::start(&[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let client = Http2::over(TcpStream::connect(address).await.unwrap()).await;
    // Not a protobuf message.
    let body = [prefix(0, 2), vec![0xff, 0xff]].concat();
    let request = grpc_call(STREAM).body(Body::from(body)).unwrap();
    let response = client.requests.clone().send_request(request).await.unwrap();
    assert!(!response.headers().contains_key("grpc-status"));
    let response = response.into_body().collect().await.unwrap();
    assert_eq!(response.trailers().unwrap()["grpc-status"], "3");
    assert_eq!((count(&server.url, "INVALID_ARGUMENT").await, count(&server.url, "OK").await), (1, 0));

    let whole = Upload::call(&client, STREAM);
    assert!(whole.finish().await.into_body().collect().await.is_ok());
    assert_eq!(count(&server.url, "OK").await, 1);

    // The client leaves while the stream is open.
    let mut open = Upload::call(&client, STREAM);
    let response = (&mut open.response).await.unwrap();
    drop((open, response));
    while count(&server.url, "CANCELLED").await == 0 {}
    assert_eq!((count(&server.url, "CANCELLED").await, count(&server.url, "OK").await), (1, 1));
}
