//! Slow clients, and too many clients.

use std::{net::Ipv4Addr, time::Duration};

use cloud_decoder::transport::{ConnectionLimits, FrontEvent, FrontSettings, raise_file_limit};
use http_body_util::BodyExt as _;
use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

use super::support::{NEVER, RawConnection, RunningFront};

/// A timeout that is short enough to wait for.
const SHORT_TIMEOUT: Duration = Duration::from_millis(50);

/// Returns limits without timeouts; each test sets its own.
pub(crate) fn without_timeouts() -> ConnectionLimits {
    ConnectionLimits {
        first_byte_timeout: NEVER,
        header_timeout: NEVER,
        handshake_timeout: NEVER,
        body_timeout: NEVER,
        idle_timeout: NEVER,
        ..ConnectionLimits::default()
    }
}

fn front_settings(limits: ConnectionLimits) -> FrontSettings {
    FrontSettings { limits, ..FrontSettings::default() }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let front = RunningFront::start(&front_settings(ConnectionLimits {
        first_byte_timeout: SHORT_TIMEOUT,
        ..without_timeouts()
    }))
    .await;
    assert_eq!(front.connect().await.rest().await, "");
    assert_eq!(front.count(FrontEvent::FirstByteTimeout), 1);
    assert_eq!(front.count(FrontEvent::HeaderTimeout), 0);
}

#[tokio::test]
async fn an_incomplete_header_is_waited_for_until_the_timeout() {
    let limits = ConnectionLimits {
        first_byte_timeout: SHORT_TIMEOUT,
        header_timeout: SHORT_TIMEOUT,
        ..without_timeouts()
    };
    let front = RunningFront::start(&front_settings(limits)).await;
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
async fn the_time_for_a_header_starts_with_its_first_byte() {
    let limits = ConnectionLimits { header_timeout: SHORT_TIMEOUT, ..without_timeouts() };
    let front = RunningFront::start(&front_settings(limits)).await;
    let mut connection = front.connect().await;
    connection.send("PRI * HTTP/2.0\r\n").await;
    assert_eq!(connection.rest().await, "");
    assert_eq!((front.count(FrontEvent::HeaderTimeout), front.count(FrontEvent::FirstByteTimeout)), (1, 0));
}

#[tokio::test]
async fn a_body_in_single_bytes_is_not_waited_for() {
    let limits = ConnectionLimits { body_timeout: SHORT_TIMEOUT, ..without_timeouts() };
    let front = RunningFront::start(&front_settings(limits)).await;
    let mut connection = front.connect().await;
    connection.0.set_nodelay(true).unwrap();
    connection.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n").await;
    // Each byte arrives in time for a limit between two pieces.
    while front.count(FrontEvent::BodyTimeout) == 0 && connection.0.write_all(b"1").await.is_ok() {
        assert!(front.get("/hello").await.contains("200 OK"));
    }
    assert_eq!(front.count(FrontEvent::BodyTimeout), 1);
}

#[tokio::test]
async fn an_idle_keep_alive_connection_is_closed_and_not_counted_as_slow() {
    let front = RunningFront::start(&front_settings(ConnectionLimits {
        header_timeout: SHORT_TIMEOUT,
        ..without_timeouts()
    }))
    .await;
    let mut connection = front.connect().await;
    connection.hello().await;
    assert_eq!(connection.rest().await, "");
    assert_eq!((front.count(FrontEvent::IdleTimeout), front.count(FrontEvent::HeaderTimeout)), (1, 0));
}

#[tokio::test]
async fn a_body_that_stops_ends_its_request() {
    let front = RunningFront::start(&front_settings(ConnectionLimits {
        body_timeout: SHORT_TIMEOUT,
        ..without_timeouts()
    }))
    .await;
    let mut connection = front.connect().await;
    connection.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").await;
    let response = connection.rest().await;
    assert!(response.starts_with("HTTP/1.1 4"), "{response}");
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    // The idle timeout starts after the other two no longer apply.
    let limits = ConnectionLimits {
        first_byte_timeout: SHORT_TIMEOUT,
        header_timeout: SHORT_TIMEOUT,
        idle_timeout: SHORT_TIMEOUT,
        ..without_timeouts()
    };
    let front = RunningFront::start(&front_settings(limits)).await;
    let mut client = front.http2().await;
    let response = client.get("/hello").await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    client.task.await.unwrap().unwrap();
    assert_eq!(front.count(FrontEvent::IdleTimeout), 1);
}

#[tokio::test]
async fn an_old_connection_is_closed_after_its_requests_are_answered() {
    let limits = ConnectionLimits {
        first_byte_timeout: SHORT_TIMEOUT,
        header_timeout: SHORT_TIMEOUT,
        max_age: Some(SHORT_TIMEOUT),
        ..without_timeouts()
    };
    let mut front = RunningFront::start(&front_settings(limits)).await;
    let mut client = front.http2().await;
    let response = client.get("/slow");
    front.started_requests.recv().await.unwrap();
    // After GOAWAY, the server does not accept further requests on this connection.
    while client.get("/hello").await.is_ok() {}
    assert_eq!(front.count(FrontEvent::Aged), 1);
    front.gate.add_permits(1);
    assert_eq!(response.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "at last");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let front =
        RunningFront::start(&front_settings(ConnectionLimits { max_connections: 2, ..without_timeouts() }))
            .await;
    let mut first = front.connect().await;
    let mut second = front.connect().await;
    first.hello().await;
    second.hello().await;
    assert_eq!(front.connect().await.rest().await, "");
    assert_eq!((front.count(FrontEvent::RefusedFull), front.count(FrontEvent::Accepted)), (1, 2));
    first.hello().await;
}

#[tokio::test]
async fn one_peer_has_a_limited_number_of_connections() {
    let front = RunningFront::start(&front_settings(ConnectionLimits {
        max_connections_per_peer: 1,
        ..without_timeouts()
    }))
    .await;
    let mut first = front.connect().await;
    first.hello().await;
    assert_eq!(front.connect().await.rest().await, "");
    assert_eq!(front.count(FrontEvent::RefusedPeer), 1);
    let other = TcpSocket::new_v4().unwrap();
    other.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
    RawConnection(other.connect(front.address).await.unwrap()).hello().await;
}

#[tokio::test]
async fn two_thousand_slow_clients_are_closed_without_effect_on_others() {
    const SLOW_CLIENTS: usize = 2000;
    let limits = ConnectionLimits {
        first_byte_timeout: Duration::from_secs(2),
        header_timeout: Duration::from_secs(2),
        ..without_timeouts()
    };
    raise_file_limit(&limits);
    let front = RunningFront::start(&front_settings(limits)).await;
    let mut slow = Vec::new();
    for number in 0..SLOW_CLIENTS {
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
    assert_eq!(closed, SLOW_CLIENTS as u64);
}
