//! Downloads of files.

use std::{fs, time::Duration};

use lopside_proto::v1::{DownloadRequest, bundle_service_client::BundleServiceClient};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::support::{Cloud, NEW, OLD, channel, digest};

/// Maximum bytes of a piece.
const PIECE: usize = 64 << 10;

#[tokio::test]
async fn every_file_comes_whole_and_in_small_pieces() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    for file in cloud.offer("stable").await.unwrap().files {
        let pieces = cloud.download(&file.sha256, 0).await.unwrap();
        assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())), "{}", file.path);
        assert!(pieces.concat() == fs::read(cloud.file(1, &file.path)).unwrap(), "{}", file.path);
    }
}

#[tokio::test]
async fn a_download_is_resumed_where_it_ended() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let end = OLD.len() as u64;
    for offset in [1, PIECE as u64, end - 1, end] {
        let rest = cloud.download(&digest(OLD), offset).await.unwrap().concat();
        assert!(rest == OLD[offset as usize..], "{offset}");
    }
    let beyond = cloud.download(&digest(OLD), end + 1).await.unwrap_err();
    assert_eq!(beyond.code(), Code::OutOfRange);
    assert!(beyond.message().contains("encoder.onnx"), "{beyond}");
}

#[tokio::test]
async fn only_what_a_channel_offers_is_given_away() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let head = fs::read(cloud.file(1, "heads/times-1.onnx")).unwrap();
    for digest in [digest(NEW), digest(&head), digest(b"something")] {
        assert_eq!(cloud.download(&digest, 0).await.unwrap_err().code(), Code::NotFound);
    }
    let short = cloud.download(&digest(OLD)[1..], 0).await.unwrap_err();
    assert_eq!(short.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_server_that_stops_ends_downloads_and_begins_none() {
    let wait = Duration::from_hours(1);
    let stays = |settings: &mut cloud_decoder::Settings| settings.front.drain_wait = wait;
    let mut cloud = Cloud::start_with(Some(&channel("stable", Some(1))), stays).await;
    // The stream window is so small that the file cannot be sent before the client reads it.
    let endpoint = Endpoint::from_shared(cloud.url.clone()).unwrap();
    let little = endpoint.initial_stream_window_size(PIECE as u32).connect().await.unwrap();
    let request = DownloadRequest { sha256: digest(OLD), offset: 0 };
    let mut pieces = BundleServiceClient::new(little).download(request).await.unwrap().into_inner();
    let mut bytes = pieces.message().await.unwrap().unwrap().bytes.len();

    let channel = Endpoint::from_shared(cloud.url.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest { service: "lopside.v1.BundleService".into() };
    let mut health = health.watch(request).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    cloud.stop.take().unwrap().send(()).unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);

    let end = loop {
        match pieces.message().await {
            Ok(piece) => bytes += piece.expect("the download ended without an error").bytes.len(),
            Err(end) => break end,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(bytes < OLD.len());
    assert_eq!(cloud.offer("stable").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(cloud.download(&digest(OLD), 0).await.unwrap_err().code(), Code::Unavailable);
    cloud.ended.abort();
}
