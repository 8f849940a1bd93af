//! The drain at shutdown.

use std::time::Duration;

use axum::Router;
use cloud_decoder::transport::{FrontEvent, FrontSettings};
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use super::support::{HELLO, NEVER, RunningFront};

#[tokio::test]
async fn running_requests_are_completed_and_new_ones_are_refused() {
    let mut front = RunningFront::start(&FrontSettings::default()).await;
    let mut idle = front.connect().await;
    idle.hello().await;
    let mut client = front.http2().await;
    let over_http2 = client.get("/slow");
    let mut over_http1 = front.connect().await;
    over_http1.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for _ in 0..2 {
        front.started_requests.recv().await.unwrap();
    }
    front.stop();
    assert_eq!(idle.rest().await, "", "a connection without a request is closed");
    assert!(TcpStream::connect(front.address).await.is_err(), "the server no longer listens");
    // GOAWAY may still be in transit; requests after it are not answered.
    while client.get("/hello").await.is_ok() {}
    assert!(!front.task.is_finished());
    front.gate.add_permits(2);
    assert_eq!(over_http2.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "at last");
    let response = over_http1.rest().await;
    assert!(response.contains("200 OK") && response.contains("connection: close"), "{response}");
    client.task.await.unwrap().unwrap();
    front.task.await.unwrap();
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
async fn a_server_that_is_not_ready_asks_clients_of_http1_to_leave() {
    let front = RunningFront::start(&FrontSettings::default()).await;
    let mut open = front.connect().await;
    open.hello().await;
    let mut client = front.http2().await;
    front.ready.send_replace(false);
    for mut connection in [open, front.connect().await] {
        connection.send(HELLO).await;
        let response = connection.rest().await;
        assert!(response.contains("200 OK") && response.contains("connection: close"), "{response}");
    }
    // HTTP/2 has GOAWAY instead, which follows when the server stops to accept connections.
    for _ in 0..2 {
        let response = client.get("/hello").await.unwrap();
        assert!(!response.headers().contains_key("connection"), "{response:?}");
    }
}

#[tokio::test]
async fn a_request_that_arrives_on_an_open_connection_during_the_drain_is_answered() {
    let mut front = RunningFront::start(&FrontSettings::default()).await;
    let mut open = front.connect().await;
    open.hello().await;
    let mut silent = front.connect().await;
    while front.count(FrontEvent::Accepted) < 2 {
        tokio::task::yield_now().await;
    }
    front.stop();
    // The server drains when it no longer listens.
    while TcpStream::connect(front.address).await.is_ok() {}
    for connection in [&mut open, &mut silent] {
        connection.send(HELLO).await;
        let response = connection.rest().await;
        assert!(response.contains("200 OK") && response.contains("connection: close"), "{response}");
    }
    front.task.await.unwrap();
}

#[tokio::test]
async fn requests_that_outlast_the_drain_time_are_cut_off() {
    let drain = Duration::from_millis(50);
    let mut front = RunningFront::start_with(&FrontSettings::default(), drain, Router::new()).await;
    let mut client = front.http2().await;
    let response = client.get("/slow");
    front.started_requests.recv().await.unwrap();
    front.stop();
    assert!(response.await.is_err());
    front.task.await.unwrap();
    assert_eq!(front.stats.snapshot().count_of(FrontEvent::CutOff), 1);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut front = RunningFront::start_with(&FrontSettings::default(), NEVER, Router::new()).await;
    let mut idle = front.connect().await;
    idle.hello().await;
    let mut busy = front.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    front.started_requests.recv().await.unwrap();
    front.stop();
    assert_eq!(idle.rest().await, "");
    front.cut_off.take().unwrap().send(()).unwrap();
    front.task.await.unwrap();
    assert_eq!(busy.rest().await, "");
}
