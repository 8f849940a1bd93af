//! Offers of channels, and their refusals.

use std::{fs, path::Path};

use lopside_proto::v1::{DownloadRequest, GetChannelRequest};
use serde_json::json;
use tonic::Code;

use super::{
    bundle,
    support::{Cloud, NEW, OLD, channel, channel_request, digest, paths},
};

#[tokio::test]
async fn a_channel_offers_the_encoder_part_of_its_bundle() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let offer = cloud.offer("stable").await.unwrap();
    assert_eq!((&offer.bundle[..], &offer.latent_space[..]), ("toy", &bundle::space(OLD).as_bytes()[..]));
    assert_eq!(paths(&offer.files), ["bundle.json", "encoder.onnx", "tables.bin"]);
    for file in &offer.files {
        let bytes = fs::read(cloud.file(1, &file.path)).unwrap();
        assert_eq!((file.bytes, &file.sha256), (bytes.len() as u64, &digest(&bytes)), "{}", file.path);
    }
}

#[tokio::test]
async fn a_channel_without_a_version_offers_the_newest_one() {
    let channels = format!("{}{}", channel("stable", Some(1)), channel("next", None));
    let cloud = Cloud::start(&channels).await;
    let next = cloud.offer("next").await.unwrap();
    assert_eq!(next.latent_space, bundle::space(NEW).as_bytes());
    let bytes = |version| -> u64 {
        let length = |name: &&str| fs::metadata(cloud.file(version, name)).unwrap().len();
        ["bundle.json", "encoder.onnx", "tables.bin"].iter().map(length).sum()
    };
    let expected = json!({"channels": [
        {
            "name": "stable", "bundle": "toy", "version": 1,
            "latent_space": bundle::space(OLD).to_string(), "bytes": bytes(1),
        },
        {
            "name": "next", "bundle": "toy", "version": 2,
            "latent_space": bundle::space(NEW).to_string(), "bytes": bytes(2),
        },
    ]});
    assert_eq!(cloud.get("/v1/channels").await, expected);
}

#[tokio::test]
async fn invalid_requests_are_refused_with_the_reason() {
    let cloud = Cloud::start(&channel("stable", None)).await;
    let unknown = cloud.offer("nightly").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(unknown.message().contains("nightly"), "{unknown}");
    let valid = channel_request("stable");
    for (request, expected) in [
        (GetChannelRequest { latent_space: vec![0; 7], ..valid.clone() }, "7 bytes"),
        (GetChannelRequest { device: String::new(), ..valid.clone() }, "1 to 128"),
        (GetChannelRequest { device: "two words".into(), ..valid.clone() }, "1 to 128"),
    ] {
        let refused = cloud.client().await.get_channel(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(expected), "{refused}");
    }
    let without_encoder = GetChannelRequest { latent_space: Vec::new(), ..valid };
    assert!(
        cloud.client().await.get_channel(without_encoder).await.is_ok(),
        "a device may be without an encoder"
    );
}

#[tokio::test]
async fn without_a_channel_file_the_error_names_the_option() {
    let cloud = Cloud::start_with(None, |_| {}).await;
    let download = DownloadRequest { sha256: vec![0; 32], offset: 0 };
    for refused in [cloud.offer("stable").await.err(), cloud.client().await.download(download).await.err()] {
        let refused = refused.unwrap();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("--channels"), "{refused}");
    }
    assert_eq!(cloud.get("/v1/channels").await, json!({"channels": []}));
}

#[tokio::test]
async fn an_incomplete_bundle_is_offered_once_it_is_complete() {
    let cloud = Cloud::start(&channel("stable", None)).await;
    let (encoder, moved) = (cloud.file(2, "encoder.onnx"), cloud.file(2, "away"));
    assert!(cloud.offer("stable").await.is_ok());
    fs::rename(&encoder, &moved).unwrap();
    assert_refused(&cloud, &["encoder.onnx is missing", "copy the whole bundle"]).await;
    fs::rename(&moved, &encoder).unwrap();
    assert!(cloud.offer("stable").await.is_ok());
}

#[tokio::test]
async fn a_damaged_file_is_never_offered() {
    let cloud = Cloud::start(&channel("stable", None)).await;
    let encoder = cloud.file(2, "encoder.onnx");
    assert!(cloud.offer("stable").await.is_ok());
    // The damaged file has the same length and path.
    replace_file(&encoder, b"bad encoder");
    assert_refused(&cloud, &["encoder.onnx", "SHA-256"]).await;
    assert_eq!(cloud.download(&digest(b"bad encoder"), 0).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(cloud.download(&digest(NEW), 0).await.unwrap_err().code(), Code::NotFound);
    replace_file(&cloud.file(2, "bundle.json"), b"{");
    assert_refused(&cloud, &["bundle.json"]).await;
}

#[tokio::test]
async fn a_bundle_that_is_not_served_is_not_offered() {
    let cloud = Cloud::start(&format!("{}version = 3\n", channel("stable", None))).await;
    assert_refused(&cloud, &["version 3 of bundle \"toy\"", "no folder"]).await;

    let cloud = Cloud::start(&channel("stable", None)).await;
    assert_eq!(cloud.post("/v2/repository/models/toy/unload").await, 200);
    assert_refused(&cloud, &["not served", "unloaded"]).await;
    assert_eq!(cloud.post("/v2/repository/models/toy/load").await, 200);
    assert!(cloud.offer("stable").await.is_ok());
}

#[tokio::test]
async fn a_latent_space_is_offered_when_it_can_be_decoded() {
    let cloud = Cloud::start(&channel("stable", None)).await;
    let newer: &[u8] = b"newer encoder";
    bundle::write(&cloud.file(2, ""), "toy", newer);
    assert_refused(&cloud, &[&bundle::space(newer).to_string(), "load the bundle again"]).await;
    let registry = cloud.registry.clone();
    assert!(tokio::task::spawn_blocking(move || registry.refresh()).await.unwrap());
    assert_eq!(cloud.offer("stable").await.unwrap().latent_space, bundle::space(newer).as_bytes());
}

/// Checks that the offer of the channel `stable` is refused, and that the reasons in the gRPC status and in
/// the REST list contain these words.
async fn assert_refused(cloud: &Cloud, words: &[&str]) {
    let refused = cloud.offer("stable").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let list = cloud.get("/v1/channels").await;
    let problem = list["channels"][0]["problem"].as_str().unwrap();
    for word in words {
        assert!(refused.message().contains(word) && problem.contains(word), "{word}: {refused}, {problem}");
    }
}

/// Replaces a file.
fn replace_file(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).unwrap();
    fs::rename(temporary, path).unwrap();
}
