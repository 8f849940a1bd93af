//! The drain at shutdown.

use std::time::Duration;

use axum::Router;
use cloud_decoder::transport::{FrontEvent, FrontSettings};
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use super::support::{NEVER, Running};

#[tokio::test]
async fn what_was_begun_is_finished_and_nothing_new_is_taken() {
    let mut front = Running::start(&FrontSettings::default()).await;
    let mut idle = front.connect().await;
    idle.hello().await;
    let mut client = front.http2().await;
    let over_http2 = client.get("/slow");
    let mut over_http1 = front.connect().await;
    over_http1.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for _ in 0..2 {
        front.begun.recv().await.unwrap();
    }
    front.stop();
    assert_eq!(idle.rest().await, "", "a connection without a request is closed at once");
    assert!(TcpStream::connect(front.address).await.is_err(), "the server no longer listens");
    // GOAWAY may still be in transit; requests after it are not answered.
    while client.get("/hello").await.is_ok() {}
    assert!(!front.ended.is_finished());
    front.gate.add_permits(2);
    assert_eq!(over_http2.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "at last");
    let answer = over_http1.rest().await;
    assert!(answer.contains("200 OK") && answer.contains("connection: close"), "{answer}");
    client.ended.await.unwrap().unwrap();
    front.ended.await.unwrap();
    let counts = front.stats.snapshot();
    assert_eq!(
        (
            counts.count_of(FrontEvent::CutOff),
            counts.count_of(FrontEvent::Accepted),
            counts.open_connections()
        ),
        (0, 3, 0)
    );
}

#[tokio::test]
async fn after_the_drain_time_what_is_left_is_cut_off() {
    let drain = Duration::from_millis(50);
    let mut front = Running::start_with(&FrontSettings::default(), drain, Router::new()).await;
    let mut client = front.http2().await;
    let answer = client.get("/slow");
    front.begun.recv().await.unwrap();
    front.stop();
    assert!(answer.await.is_err());
    front.ended.await.unwrap();
    assert_eq!(front.stats.snapshot().count_of(FrontEvent::CutOff), 1);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut front = Running::start_with(&FrontSettings::default(), NEVER, Router::new()).await;
    let mut idle = front.connect().await;
    idle.hello().await;
    let mut busy = front.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    front.begun.recv().await.unwrap();
    front.stop();
    assert_eq!(idle.rest().await, "");
    front.cut_off.take().unwrap().send(()).unwrap();
    front.ended.await.unwrap();
    assert_eq!(busy.rest().await, "");
}
