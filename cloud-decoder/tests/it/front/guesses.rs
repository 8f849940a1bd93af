//! Clients that guess keys.

use std::{fs, net::Ipv4Addr};

use cloud_decoder::transport::{FrontEvent, FrontSettings};
use tokio::net::TcpSocket;

use super::{
    process::ServerProcess,
    protected::{ProtectedRouter, infer},
    service,
    support::{NEVER, RawConnection, RunningFront},
};

/// Sends a request with a key from an address of this machine, and returns the whole response.
async fn get(front: &RunningFront, address: Ipv4Addr, key: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let mut connection = RawConnection(socket.connect(front.address).await.unwrap());
    let request =
        format!("GET /v1/bundles HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n");
    connection.send(&request).await;
    connection.rest().await
}

#[tokio::test]
async fn a_peer_that_guesses_is_slowed_and_valid_keys_are_not() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let front = RunningFront::start_with(&FrontSettings::default(), NEVER, protected.router.clone()).await;
    let [attacker, other] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
    let mut responses = Vec::new();
    for number in 0..40 {
        responses.push(get(&front, attacker, &format!("lps_guess-{number}")).await);
    }
    let (burst, beyond) = responses.split_at(20);
    assert!(burst.iter().all(|response| response.starts_with("HTTP/1.1 401")), "{burst:?}");
    // An attempt is added per second, so that a slow machine may see a few more.
    let limited: Vec<_> = beyond.iter().filter(|response| response.starts_with("HTTP/1.1 429")).collect();
    assert!(!limited.is_empty(), "{beyond:?}");
    assert!(limited.iter().all(|response| response.contains("retry-after: 1\r\n")), "{limited:?}");
    let counts = protected.stats.snapshot();
    assert_eq!(counts.count_of(FrontEvent::FailuresLimited), limited.len() as u64);
    assert_eq!(counts.count_of(FrontEvent::Unauthenticated), 40 - limited.len() as u64);

    let response = get(&front, attacker, &key.key).await;
    assert!(response.starts_with("HTTP/1.1 200"), "a valid key of the same peer is admitted: {response}");
    let response = get(&front, other, "lps_guess").await;
    assert!(response.starts_with("HTTP/1.1 401"), "another peer is not affected: {response}");
}

#[tokio::test]
async fn invalid_keys_are_logged_with_their_peer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    fs::write(&path, infer("line-3").toml).unwrap();
    let mut server = ServerProcess::start(&["--api-keys", path.to_str().unwrap()]);
    assert_eq!(service::status_with_key(&server.url, "/v1/bundles", "lps_guess").await, 401);
    let line = server.wait_for_log("refused invalid API keys");
    assert!(line.contains("peer=127.0.0.1") && line.contains("failures=1"), "{line}");
}
