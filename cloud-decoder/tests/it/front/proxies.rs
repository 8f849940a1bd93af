//! What proxies in front of the server rely on.

use cloud_decoder::transport::FrontSettings;

use super::service::{get, start_with};

#[tokio::test]
async fn proxies_pass_on_each_event_of_a_stream_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_with(FrontSettings::default(), |args| {
        args.archive.url = Some(format!("sqlite:{}", folder.path().join("archive.db").display()));
        args.archive.scores = Some(false);
    })
    .await;
    let url = server.url().to_owned();
    tokio::spawn(server.run_until(std::future::pending()));
    let response = get(&url, "/v1/live").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["cache-control"], "no-cache");
}
