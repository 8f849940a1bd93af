//! Channels behind API keys.

use std::{fs, path::Path};

use axum::{body::Body, http::Request};
use cloud_decoder::auth::{GeneratedKey, Scope, generate_key};
use lopside_proto::v1::DownloadRequest;
use tonic::Code;

use super::support::{Cloud, NEW, channel, channel_request, digest};

async fn start_with_keys(path: &Path, keys: &[&GeneratedKey]) -> Cloud {
    let text: String = keys.iter().map(|key| &key.toml[..]).collect();
    fs::write(path, text).unwrap();
    Cloud::start_with(Some(&channel("stable", None)), |settings| {
        settings.front.api_keys = Some(path.to_owned());
    })
    .await
}

fn with_key<T>(key: &GeneratedKey, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", key.key).parse().unwrap());
    request
}

#[tokio::test]
async fn encoders_require_the_scope_ingest() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, device) =
        (generate_key("reader", &[Scope::Infer]).unwrap(), generate_key("gate-7", &[Scope::Ingest]).unwrap());
    let cloud = start_with_keys(&folder.path().join("keys.toml"), &[&reader, &device]).await;
    let mut client = cloud.client().await;
    let download = DownloadRequest { sha256: digest(NEW), offset: 0 };

    assert_eq!(
        client.get_channel(channel_request("stable")).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let refused = client.get_channel(with_key(&reader, channel_request("stable"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("ingest"), "{refused}");
    let refused = client.download(with_key(&reader, download.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    assert!(client.get_channel(with_key(&device, channel_request("stable"))).await.is_ok());
    let mut chunks = client.download(with_key(&device, download)).await.unwrap().into_inner();
    assert_eq!(chunks.message().await.unwrap().unwrap().bytes[..], NEW[..]);
}

#[tokio::test]
async fn the_list_of_channels_requires_the_scope_infer() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, device) =
        (generate_key("reader", &[Scope::Infer]).unwrap(), generate_key("gate-7", &[Scope::Ingest]).unwrap());
    let cloud = start_with_keys(&folder.path().join("keys.toml"), &[&reader, &device]).await;
    for (key, expected) in [(&reader, 200), (&device, 403)] {
        let request = Request::get("/v1/channels").header("x-api-key", &key.key);
        assert_eq!(cloud.send(request.body(Body::empty()).unwrap()).await.0, expected);
    }
}
