//! Downloads of files.

use std::{fs, time::Duration};

use lopside_proto::v1::{DownloadRequest, bundle_service_client::BundleServiceClient};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::support::{Cloud, NEW, OLD, channel, digest};

/// Maximum bytes of a chunk.
const MAX_CHUNK_BYTES: usize = 64 << 10;

#[tokio::test]
async fn every_file_is_complete_and_sent_in_small_chunks() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    for file in cloud.offer("stable").await.unwrap().files {
        let chunks = cloud.download(&file.sha256, 0).await.unwrap();
        assert!(chunks.iter().all(|chunk| (1..=MAX_CHUNK_BYTES).contains(&chunk.len())), "{}", file.path);
        assert!(chunks.concat() == fs::read(cloud.file(1, &file.path)).unwrap(), "{}", file.path);
    }
}

#[tokio::test]
async fn a_download_is_resumed_where_it_ended() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let len = OLD.len() as u64;
    for offset in [1, MAX_CHUNK_BYTES as u64, len - 1, len] {
        let rest = cloud.download(&digest(OLD), offset).await.unwrap().concat();
        assert!(rest == OLD[offset as usize..], "{offset}");
    }
    let beyond = cloud.download(&digest(OLD), len + 1).await.unwrap_err();
    assert_eq!(beyond.code(), Code::OutOfRange);
    assert!(beyond.message().contains("encoder.onnx"), "{beyond}");
}

#[tokio::test]
async fn only_offered_files_can_be_downloaded() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let head = fs::read(cloud.file(1, "heads/times-1.onnx")).unwrap();
    for digest in [digest(NEW), digest(&head), digest(b"something")] {
        assert_eq!(cloud.download(&digest, 0).await.unwrap_err().code(), Code::NotFound);
    }
    let short = cloud.download(&digest(OLD)[1..], 0).await.unwrap_err();
    assert_eq!(short.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_stopping_server_ends_downloads_and_accepts_none() {
    let drain_wait = Duration::from_hours(1);
    let set_drain_wait = |settings: &mut cloud_decoder::Settings| settings.front.drain_wait = drain_wait;
    let mut cloud = Cloud::start_with(Some(&channel("stable", Some(1))), set_drain_wait).await;
    // The stream window is so small that the file cannot be sent before the client reads it.
    let endpoint = Endpoint::from_shared(cloud.url.clone()).unwrap();
    let narrow_channel = endpoint.initial_stream_window_size(MAX_CHUNK_BYTES as u32).connect().await.unwrap();
    let request = DownloadRequest { sha256: digest(OLD), offset: 0 };
    let mut chunks = BundleServiceClient::new(narrow_channel).download(request).await.unwrap().into_inner();
    let mut bytes = chunks.message().await.unwrap().unwrap().bytes.len();

    let channel = Endpoint::from_shared(cloud.url.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest { service: "lopside.v1.BundleService".into() };
    let mut health = health.watch(request).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    cloud.stop.take().unwrap().send(()).unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);

    let status = loop {
        match chunks.message().await {
            Ok(chunk) => bytes += chunk.expect("the download ended without an error").bytes.len(),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(bytes < OLD.len());
    assert_eq!(cloud.offer("stable").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(cloud.download(&digest(OLD), 0).await.unwrap_err().code(), Code::Unavailable);
    cloud.task.abort();
}
