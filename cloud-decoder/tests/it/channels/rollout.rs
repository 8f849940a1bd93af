//! A channel changes its bundle while the server runs and devices send frames.

use lopside_proto::v1::{
    FrameClass, Frames, Hello, UploadRequest, ingest_service_client::IngestServiceClient, upload_request,
    upload_response,
};
use serde_json::{Value, json};

use super::{
    bundle::{frame, space},
    support::{Cloud, NEW, OLD, channel, digest},
};

#[tokio::test]
async fn a_changed_channel_file_is_applied_and_an_invalid_one_is_not() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let mut reloads = cloud.stats.subscribe_reloads();
    assert_eq!(cloud.offer("stable").await.unwrap().latent_space, space(OLD).as_bytes());

    cloud.write_channels("[[channel]]\nname = 'stable'\nbundel = 'toy'\n");
    reloads.wait_for(|reloads| reloads.failed == 1).await.unwrap();
    assert_eq!(cloud.offer("stable").await.unwrap().latent_space, space(OLD).as_bytes());

    cloud.write_channels(&channel("stable", Some(2)));
    reloads.wait_for(|reloads| reloads.done == 1).await.unwrap();
    assert_eq!(cloud.offer("stable").await.unwrap().latent_space, space(NEW).as_bytes());
    assert_eq!(cloud.download(&digest(NEW), 0).await.unwrap().concat(), NEW);
    assert!(cloud.download(&digest(OLD), 0).await.is_err(), "no channel offers the old encoder any more");
}

#[tokio::test]
async fn frames_of_the_old_latent_space_are_archived_and_decoded_as_before() {
    let cloud = Cloud::start(&channel("stable", Some(1))).await;
    let mut reloads = cloud.stats.subscribe_reloads();
    upload(&cloud, "gate-7", 1, frame(OLD, [0.1, 0.2])).await;
    cloud.write_channels(&channel("stable", None));
    reloads.wait_for(|reloads| reloads.done == 1).await.unwrap();
    assert_eq!(cloud.offer("stable").await.unwrap().latent_space, space(NEW).as_bytes());
    upload(&cloud, "gate-7", 2, frame(OLD, [0.3, 0.4])).await;
    upload(&cloud, "gate-8", 1, frame(NEW, [0.5, 0.6])).await;

    let list = cloud.get("/v1/frames?limit=10").await;
    let archived = list["frames"].as_array().unwrap();
    let mut decoded: Vec<(String, Value, Vec<i64>)> = Vec::new();
    for row in archived {
        let output = cloud.get(&format!("/v1/frames/{}/times", row["id"])).await;
        let values = output["values"].as_array().unwrap_or_else(|| panic!("{output}"));
        let values = values.iter().map(|value| value.as_f64().unwrap().round() as i64).collect();
        let name = format!("{} {}", row["device"].as_str().unwrap(), row["number"]);
        decoded.push((name, row["latent_space"].clone(), values));
    }
    decoded.sort_by(|a, b| a.0.cmp(&b.0));
    let (old, new) = (json!(space(OLD).to_string()), json!(space(NEW).to_string()));
    let expected = [
        ("gate-7 1".to_owned(), old.clone(), vec![1, 2]),
        ("gate-7 2".to_owned(), old, vec![3, 4]),
        ("gate-8 1".to_owned(), new, vec![5, 6]),
    ];
    assert_eq!(decoded, expected);
}

/// Sends a frame of a device and waits until it is acknowledged.
async fn upload(cloud: &Cloud, device: &str, number: u64, frame: Vec<u8>) {
    let hello = Hello { device: device.into(), spool: 1, ..Hello::default() };
    let frames = Frames {
        epoch: 7,
        class: FrameClass::Normal.into(),
        first: number,
        captured_ms: 1_782_907_200_000,
        lengths: vec![frame.len() as u32],
        digests: vec![crc32c::crc32c(&frame)],
        frames: frame.into(),
        ..Frames::default()
    };
    let messages = [upload_request::Message::Hello(hello), upload_request::Message::Frames(frames)];
    let messages = messages.map(|message| UploadRequest { message: Some(message) });
    let mut client = IngestServiceClient::connect(cloud.url.clone()).await.unwrap();
    let responses = client.upload(tokio_stream::iter(messages)).await.unwrap();
    let mut responses = responses.into_inner();
    assert!(matches!(
        responses.message().await.unwrap().unwrap().message,
        Some(upload_response::Message::Welcome(_))
    ));
    let Some(upload_response::Message::Ack(ack)) = responses.message().await.unwrap().unwrap().message else {
        panic!("no acknowledgement");
    };
    assert_eq!(ack.number, number);
}
