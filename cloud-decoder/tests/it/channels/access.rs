//! Channels behind API keys.

use std::{fs, path::Path};

use axum::{body::Body, http::Request};
use cloud_decoder::auth::{GeneratedKey, Scope, generate_key};
use lopside_proto::v1::DownloadRequest;
use tonic::Code;

use super::support::{Cloud, NEW, channel, digest, question};

async fn behind(keys: &Path, allowed: &[&GeneratedKey]) -> Cloud {
    let text: String = allowed.iter().map(|key| &key.toml[..]).collect();
    fs::write(keys, text).unwrap();
    Cloud::start_with(Some(&channel("stable", None)), |settings| {
        settings.front.api_keys = Some(keys.to_owned());
    })
    .await
}

fn with<T>(key: &GeneratedKey, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", key.key).parse().unwrap());
    request
}

#[tokio::test]
async fn encoders_are_for_those_who_may_send_frames() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, device) =
        (generate_key("reader", &[Scope::Infer]).unwrap(), generate_key("gate-7", &[Scope::Ingest]).unwrap());
    let cloud = behind(&folder.path().join("keys.toml"), &[&reader, &device]).await;
    let mut client = cloud.client().await;
    let download = DownloadRequest { sha256: digest(NEW), offset: 0 };

    assert_eq!(client.get_channel(question("stable")).await.unwrap_err().code(), Code::Unauthenticated);
    let refused = client.get_channel(with(&reader, question("stable"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("ingest"), "{refused}");
    let refused = client.download(with(&reader, download.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    assert!(client.get_channel(with(&device, question("stable"))).await.is_ok());
    let mut pieces = client.download(with(&device, download)).await.unwrap().into_inner();
    assert_eq!(pieces.message().await.unwrap().unwrap().bytes[..], NEW[..]);
}

#[tokio::test]
async fn the_list_is_for_those_who_may_read_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, device) =
        (generate_key("reader", &[Scope::Infer]).unwrap(), generate_key("gate-7", &[Scope::Ingest]).unwrap());
    let cloud = behind(&folder.path().join("keys.toml"), &[&reader, &device]).await;
    for (key, expected) in [(&reader, 200), (&device, 403)] {
        let request = Request::get("/v1/channels").header("x-api-key", &key.key);
        assert_eq!(cloud.send(request.body(Body::empty()).unwrap()).await.0, expected);
    }
}
