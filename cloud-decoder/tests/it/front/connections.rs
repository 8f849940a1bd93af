//! Slow clients, and too many clients.

use std::{net::Ipv4Addr, time::Duration};

use cloud_decoder::transport::{ConnectionLimits, FrontEvent, FrontSettings, raise_file_limit};
use http_body_util::BodyExt as _;
use tokio::net::TcpSocket;

use super::support::{NEVER, Raw, Running};

/// A timeout that is short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);

/// Returns limits without timeouts; each test sets its own.
pub(crate) fn patient() -> ConnectionLimits {
    ConnectionLimits {
        first_byte_timeout: NEVER,
        header_timeout: NEVER,
        handshake_timeout: NEVER,
        body_timeout: NEVER,
        idle_timeout: NEVER,
        ..ConnectionLimits::default()
    }
}

fn with(limits: ConnectionLimits) -> FrontSettings {
    FrontSettings { limits, ..FrontSettings::default() }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let front = Running::start(&with(ConnectionLimits { first_byte_timeout: SHORT, ..patient() })).await;
    assert_eq!(front.connect().await.rest().await, "");
    assert_eq!(front.count(FrontEvent::FirstByteTimeout), 1);
    assert_eq!(front.count(FrontEvent::HeaderTimeout), 0);
}

#[tokio::test]
async fn a_header_that_does_not_end_is_waited_for_only_so_long() {
    let limits = ConnectionLimits { first_byte_timeout: SHORT, header_timeout: SHORT, ..patient() };
    let front = Running::start(&with(limits)).await;
    // Half a request, and half of the HTTP/2 preface, after which the version is still unknown.
    for (number, text) in [(1, "GET /hello HTTP/1.1\r\nhost: "), (2, "PRI * HTTP/2.0\r\n")] {
        let mut connection = front.connect().await;
        connection.send(text).await;
        let rest = connection.rest().await;
        assert!(!rest.contains("200 OK"), "{rest}");
        assert_eq!(front.count(FrontEvent::HeaderTimeout), number, "{text}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_rests_is_closed_and_not_counted_as_slow() {
    let front = Running::start(&with(ConnectionLimits { header_timeout: SHORT, ..patient() })).await;
    let mut connection = front.connect().await;
    connection.hello().await;
    assert_eq!(connection.rest().await, "");
    assert_eq!((front.count(FrontEvent::IdleTimeout), front.count(FrontEvent::HeaderTimeout)), (1, 0));
}

#[tokio::test]
async fn a_body_that_stops_ends_its_request() {
    let front = Running::start(&with(ConnectionLimits { body_timeout: SHORT, ..patient() })).await;
    let mut connection = front.connect().await;
    connection.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").await;
    let answer = connection.rest().await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_connection_without_requests_is_told_to_go() {
    // The idle timeout starts after the other two no longer apply.
    let limits = ConnectionLimits {
        first_byte_timeout: SHORT,
        header_timeout: SHORT,
        idle_timeout: SHORT,
        ..patient()
    };
    let front = Running::start(&with(limits)).await;
    let mut client = front.http2().await;
    let answer = client.get("/hello").await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    client.ended.await.unwrap().unwrap();
    assert_eq!(front.count(FrontEvent::IdleTimeout), 1);
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_when_its_requests_are_answered() {
    let limits = ConnectionLimits {
        first_byte_timeout: SHORT,
        header_timeout: SHORT,
        max_age: Some(SHORT),
        ..patient()
    };
    let mut front = Running::start(&with(limits)).await;
    let mut client = front.http2().await;
    let answer = client.get("/slow");
    front.begun.recv().await.unwrap();
    // After GOAWAY, the server does not accept further requests on this connection.
    while client.get("/hello").await.is_ok() {}
    assert_eq!(front.count(FrontEvent::Aged), 1);
    front.gate.add_permits(1);
    assert_eq!(answer.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "at last");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let front = Running::start(&with(ConnectionLimits { max_connections: 2, ..patient() })).await;
    let mut first = front.connect().await;
    let mut second = front.connect().await;
    first.hello().await;
    second.hello().await;
    assert_eq!(front.connect().await.rest().await, "");
    assert_eq!((front.count(FrontEvent::RefusedFull), front.count(FrontEvent::Accepted)), (1, 2));
    first.hello().await;
}

#[tokio::test]
async fn one_peer_takes_no_more_than_its_share() {
    let front = Running::start(&with(ConnectionLimits { max_connections_per_peer: 1, ..patient() })).await;
    let mut first = front.connect().await;
    first.hello().await;
    assert_eq!(front.connect().await.rest().await, "");
    assert_eq!(front.count(FrontEvent::RefusedPeer), 1);
    let other = TcpSocket::new_v4().unwrap();
    other.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
    Raw(other.connect(front.address).await.unwrap()).hello().await;
}

#[tokio::test]
async fn two_thousand_slow_clients_are_closed_and_nobody_else_notices() {
    const SLOW: usize = 2000;
    let limits = ConnectionLimits {
        first_byte_timeout: Duration::from_secs(2),
        header_timeout: Duration::from_secs(2),
        ..patient()
    };
    raise_file_limit(&limits);
    let front = Running::start(&with(limits)).await;
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut connection = front.connect().await;
        match number % 3 {
            0 => {}
            1 => connection.send("G").await,
            _ => connection.send("GET /hello HTTP/1.1\r\nhost: x\r\nx-drop: ").await,
        }
        slow.push(connection);
        if number % 20 == 0 {
            assert!(front.get("/hello").await.contains("200 OK"));
        }
    }
    for mut connection in slow {
        let rest = connection.rest().await;
        assert!(!rest.contains("200 OK"), "{rest}");
    }
    assert!(front.get("/hello").await.contains("200 OK"));
    let closed = front.count(FrontEvent::FirstByteTimeout) + front.count(FrontEvent::HeaderTimeout);
    assert_eq!(closed, SLOW as u64);
}
