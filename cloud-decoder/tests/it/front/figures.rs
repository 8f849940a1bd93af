//! Metrics of the build, of the health and of the certificate.

use std::fs;

use http_body_util::BodyExt as _;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{process::ServerProcess, service::get};

/// Returns the lines of the metrics that begin with a name.
async fn scrape(url: &str, name: &str) -> Vec<String> {
    let body = get(url, "/metrics").await.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_build_and_the_components_have_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("sqlite:{}", folder.path().join("archive.db").display());
    let server = ServerProcess::start(&["--archive", &archive]);
    let build = scrape(&server.url, "lopside_build_info").await;
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(build.len() == 1 && build[0].contains(&version) && build[0].ends_with(" 1"), "{build:?}");
    let components = scrape(&server.url, "lopside_component_up").await;
    for component in ["archive", "retention", "scorer", "statistics"] {
        let label = format!("component=\"{component}\"");
        let is_up = |line: &String| line.contains(&label) && line.ends_with(" 1");
        assert!(components.iter().any(is_up), "{component}: {components:?}");
    }
    assert_eq!(scrape(&server.url, "lopside_certificate").await, [""; 0]);
}

#[tokio::test]
async fn the_certificate_has_a_time_until_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2001, 1, 1);
    params.not_before = date_time_ymd(2000, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (write("cert.pem", certificate), write("key.pem", key.serialize_pem()));
    let options = ["--tls-cert", &certificate, "--tls-key", &key, "--metrics-listen", "127.0.0.1:0"];
    let mut server = ServerProcess::start(&options);
    let line = server.wait_for_log("serving metrics");
    let (_, port) = line.split_once("/metrics").unwrap().0.rsplit_once(':').unwrap();
    let url = format!("http://127.0.0.1:{port}");
    server.wait_for_log("the certificate has expired");
    let remaining = scrape(&url, "lopside_certificate_remaining_seconds").await;
    let seconds: f64 = remaining[0].rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(remaining.len() == 1 && seconds < -700_000_000.0, "{remaining:?}");
}
