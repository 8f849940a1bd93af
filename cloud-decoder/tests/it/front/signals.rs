//! The signals of the running program.

use std::fs;

use cloud_decoder::auth::{Scope, generate_key};
use rustix::process::Signal;

use super::{process::ServerProcess, service::status};

#[tokio::test]
async fn a_hangup_never_ends_a_server_even_if_it_watches_no_files() {
    let mut server = ServerProcess::start(&[]);
    for _ in 0..2 {
        server.send_signal(Signal::HUP);
        server.wait_for_log("SIGHUP received");
    }
    assert_eq!(status(&server.url, "/readyz").await, 200);
}

#[tokio::test]
async fn a_hangup_loads_changed_keys_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let key = |name| generate_key(name, &[Scope::Infer]).unwrap().toml;
    fs::write(&path, key("first")).unwrap();
    // Without the signal, the change would be noticed after an hour.
    let mut server =
        ServerProcess::start(&["--api-keys", path.to_str().unwrap(), "--reload-seconds", "3600"]);
    fs::write(&path, key("second")).unwrap();
    server.send_signal(Signal::HUP);
    server.wait_for_log("API keys reloaded");
    assert_eq!(status(&server.url, "/readyz").await, 200);
}

#[test]
fn a_termination_and_an_interrupt_drain_the_server() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = ServerProcess::start(&[]);
        server.send_signal(signal);
        server.wait_for_log("stopping: finishing open requests");
        server.wait_for_log("stopped");
        assert!(server.wait_ended().success(), "{signal:?}");
    }
}

#[test]
fn a_second_stop_signal_ends_the_server_at_once_and_a_hangup_is_not_one() {
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let mut server = ServerProcess::start(&["--drain-wait-seconds", "3600"]);
        server.send_signal(first);
        server.wait_for_log("no longer ready");
        server.send_signal(Signal::HUP);
        server.wait_for_log("SIGHUP received");
        server.send_signal(second);
        server.wait_for_log("second stop signal");
        assert!(server.wait_ended().success(), "{first:?} {second:?}");
    }
}
