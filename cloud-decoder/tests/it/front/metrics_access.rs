//! The separate address of the metrics, if everything else needs a key.

use std::{fs, path::PathBuf};

use cloud_decoder::auth::{GeneratedKey, Scope, generate_key};
use tempfile::TempDir;

use super::{
    process::ServerProcess,
    service::{status, status_with_key},
};

/// A server process with keys and a separate address of the metrics.
struct MetricsServer {
    process: ServerProcess,
    /// The URL of the separate address, as a client on this machine reaches it.
    url: String,
    reader: GeneratedKey,
    prometheus: GeneratedKey,
    _folder: TempDir,
}

impl MetricsServer {
    fn start(listen: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("keys.toml");
        let reader = generate_key("reader", &[Scope::Infer]).unwrap();
        let prometheus = generate_key("prometheus", &[Scope::Metrics]).unwrap();
        fs::write(&path, format!("{}{}", reader.toml, prometheus.toml)).unwrap();
        let options = ["--api-keys", path.to_str().unwrap(), "--metrics-listen", listen];
        let mut process = ServerProcess::start(&[&options[..], more].concat());
        let line = process.wait_for_log("serving metrics");
        let (_, port) = line.split_once("/metrics").unwrap().0.rsplit_once(':').unwrap();
        let url = format!("http://127.0.0.1:{port}");
        Self { process, url, reader, prometheus, _folder: folder }
    }
}

#[tokio::test]
async fn an_address_for_other_machines_needs_a_key_of_the_scope_metrics() {
    let server = MetricsServer::start("0.0.0.0:0", &[]);
    assert_eq!(status(&server.url, "/metrics").await, 401);
    assert_eq!(status_with_key(&server.url, "/metrics", &server.reader.key).await, 403);
    assert_eq!(status_with_key(&server.url, "/metrics", &server.prometheus.key).await, 200);
    assert_eq!(status(&server.process.url, "/readyz").await, 200);
}

#[tokio::test]
async fn an_opened_address_and_one_of_this_machine_need_no_key() {
    for (listen, more) in [("0.0.0.0:0", &["--metrics-open"][..]), ("127.0.0.1:0", &[])] {
        let server = MetricsServer::start(listen, more);
        assert_eq!(status(&server.url, "/metrics").await, 200, "{listen}");
        assert_eq!(status(&server.process.url, "/metrics").await, 401, "{listen}");
    }
}
