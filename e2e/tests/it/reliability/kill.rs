//! Abrupt and orderly ends of the server.

use std::net::TcpListener;

use lopside_e2e::{CloudDecoder, in_clone, serve_command_on};

use super::load::{Load, is_unavailable};

/// Returns a port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(port: u16) -> CloudDecoder {
    CloudDecoder::run(&mut serve_command_on(port, &[&in_clone("bundles/fashion")]))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_recover_after_a_server_was_killed_and_restarted() {
    let port = port();
    let mut cloud = start(port);
    let load = Load::start(&cloud.url, 4, is_unavailable);
    for _ in 0..5 {
        load.wait(200).await;
        // The drop sends SIGKILL, which the server cannot catch.
        drop(cloud);
        cloud = start(port);
    }
    load.wait(200).await;
    assert!(load.stop().await.len() >= 1200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_loses_no_response() {
    let mut cloud = CloudDecoder::start(&[&in_clone("bundles/fashion")]);
    let load = Load::start(&cloud.url, 4, is_unavailable);
    load.wait(200).await;
    let (status, log) = cloud.stop();
    assert!(status.success() && !log.contains("cut off"), "{log}");
    let _ = load.stop().await;
}
