//! Uploads that contradict the archive are refused, and a device is told what the archive has and what it has lost.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::Request;
use lopside_proto::v1::{
    ClockQuality, FrameClass, Frames, Hello, Known, Lane, Location, Lost, Mark, NumberRange, UploadRequest,
    UploadResponse, Welcome, ingest_service_client::IngestServiceClient, upload_request, upload_response,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::support::Cloud;

const HOUR_MS: i64 = 3_600_000;

/// An open upload of the device `gate`.
struct Upload {
    requests: mpsc::Sender<UploadRequest>,
    responses: Streaming<UploadResponse>,
    welcome: Welcome,
}

impl Upload {
    /// Connects with a class whose numbers are settled and acknowledged up to these ones.
    async fn open(cloud: &Cloud, settled: u64, acknowledged: u64) -> Self {
        let lanes = vec![Lane { class: FrameClass::Normal.into(), settled, acknowledged }];
        Self::open_with(cloud, Hello { device: "gate".into(), spool: 9, lanes, ..Hello::default() }).await
    }

    async fn open_with(cloud: &Cloud, hello: Hello) -> Self {
        let (requests, receiver) = mpsc::channel(4);
        requests.send(request(upload_request::Message::Hello(hello))).await.unwrap();
        let mut client = IngestServiceClient::connect(cloud.url.clone()).await.unwrap();
        let mut responses = client.upload(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        let answer = responses.message().await.unwrap().unwrap().message.unwrap();
        let upload_response::Message::Welcome(welcome) = answer else { panic!("no welcome") };
        Self { requests, responses, welcome }
    }

    /// Sends a message, and returns the number that is acknowledged.
    async fn send(&mut self, frames: Frames) -> Result<u64, Status> {
        self.requests.send(request(upload_request::Message::Frames(frames))).await.unwrap();
        match self.responses.message().await?.unwrap().message.unwrap() {
            upload_response::Message::Ack(ack) => Ok(ack.number),
            upload_response::Message::Welcome(_) => panic!("a second welcome"),
        }
    }
}

fn request(message: upload_request::Message) -> UploadRequest {
    UploadRequest { message: Some(message) }
}

/// Returns a message of frames with these contents, numbered from `first`.
fn frames(epoch: u64, first: u64, contents: &[&str]) -> Frames {
    Frames {
        epoch,
        class: FrameClass::Normal.into(),
        first,
        captured_ms: 1_782_907_200_000,
        elapsed_ms: vec![1000; contents.len() - 1],
        lengths: contents.iter().map(|frame| frame.len() as u32).collect(),
        digests: contents.iter().map(|frame| crc32c::crc32c(frame.as_bytes())).collect(),
        frames: contents.concat().into_bytes().into(),
        ..Frames::default()
    }
}

fn range(first: u64, last: u64) -> NumberRange {
    NumberRange { first, last }
}

async fn device(cloud: &Cloud) -> Value {
    cloud.get("/v1/devices").await.json()["devices"][0].clone()
}

#[tokio::test]
async fn a_frame_with_other_contents_is_refused_and_counted() {
    let cloud = Cloud::start().await;
    let mut upload = Upload::open(&cloud, 0, 0).await;
    assert_eq!(upload.send(frames(1, 1, &["one", "two"])).await.unwrap(), 2);
    assert_eq!(upload.send(frames(1, 2, &["two", "three"])).await.unwrap(), 3, "a replay is fine");
    let status = upload.send(frames(1, 3, &["THREE", "four"])).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    for part in ["frame 3 of class normal of device \"gate\"", "second device"] {
        assert!(status.message().contains(part), "{status}");
    }
    assert_eq!((&device(&cloud).await["conflicts"], &device(&cloud).await["frames"]), (&1.into(), &3.into()));
    let mut upload = Upload::open(&cloud, 3, 3).await;
    assert_eq!(upload.send(frames(1, 4, &["four"])).await.unwrap(), 4);
}

#[tokio::test]
async fn a_floor_that_cannot_be_true_is_refused() {
    let cloud = Cloud::start().await;
    let mut upload = Upload::open(&cloud, 0, 0).await;
    upload.send(frames(1, 1, &["one"])).await.unwrap();
    let forged = Frames { settled: 1_000_000_000, ..frames(1, 2, &["two"]) };
    let status = upload.send(forged).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("up to number 1000000000"), "{status}");
    // Neither does the number in a hello change anything.
    let mut upload = Upload::open(&cloud, 1_000_000_000, 0).await;
    assert_eq!(upload.send(Frames { settled: 1, ..frames(1, 2, &["two"]) }).await.unwrap(), 2);
    assert_eq!(device(&cloud).await["frames"], 2);
}

#[tokio::test]
async fn a_device_is_told_what_is_known_of_each_epoch() {
    let cloud = Cloud::start().await;
    let mut upload = Upload::open(&cloud, 0, 0).await;
    let expected = Welcome { max_pixels: 40_000_000, accepts_source_reports: true, ..Welcome::default() };
    assert_eq!(upload.welcome, expected);
    upload.send(frames(7, 1, &["one", "two"])).await.unwrap();
    upload.send(frames(8, 2, &["another two", "three"])).await.unwrap();
    let class = FrameClass::Normal.into();
    let expected = [
        Known { class, ranges: vec![range(2, 2)], epoch: 7 },
        Known { class, ranges: vec![range(2, 3)], epoch: 8 },
    ];
    assert_eq!(Upload::open(&cloud, 1, 3).await.welcome.known, expected);
    assert_eq!(
        Upload::open(&cloud, 2, 3).await.welcome.known,
        [Known { ranges: vec![range(3, 3)], ..expected[1].clone() }]
    );
}

#[tokio::test]
async fn a_device_is_told_what_the_archive_has_lost() {
    let cloud = Cloud::start().await;
    let mut upload = Upload::open(&cloud, 0, 0).await;
    upload.send(frames(1, 1, &["one"])).await.unwrap();
    let class = FrameClass::Normal.into();
    let mut upload = Upload::open(&cloud, 1, 5).await;
    assert_eq!(upload.welcome.lost, [Lost { class, range: Some(range(2, 5)) }]);
    assert_eq!(device(&cloud).await["lost"], 4);
    upload.send(frames(1, 3, &["three", "four"])).await.unwrap();
    let lost = [2, 5].map(|number| Lost { class, range: Some(range(number, number)) });
    assert_eq!(Upload::open(&cloud, 2, 5).await.welcome.lost, lost);
    let counts = device(&cloud).await;
    assert_eq!((&counts["lost"], &counts["applied"]), (&2.into(), &3.into()));
}

#[tokio::test]
async fn times_of_capture_are_corrected_by_the_clock_of_the_hello() {
    let cloud = Cloud::start().await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    // The clock of the device is an hour slow.
    let device_ms = now_ms - HOUR_MS;
    let clock = ClockQuality::Synchronised.into();
    let hello = Hello { device: "gate".into(), spool: 9, now_ms: device_ms, clock, ..Hello::default() };
    let mut upload = Upload::open_with(&cloud, hello).await;
    upload.send(Frames { captured_ms: device_ms, ..frames(1, 1, &["one"]) }).await.unwrap();
    upload.send(Frames { captured_ms: 60_000, ..frames(1, 2, &["two"]) }).await.unwrap();
    let clock = device(&cloud).await;
    assert_eq!(clock["clock"], "synchronised");
    let offset_ms = clock["clock_offset_ms"].as_i64().unwrap();
    assert!((HOUR_MS..HOUR_MS + 60_000).contains(&offset_ms), "{offset_ms}");

    let of_hour = cloud.get(&format!("/v1/frames?from={}", now_ms - 60_000)).await.json();
    let listed = of_hour["frames"].as_array().unwrap();
    assert_eq!(listed.iter().map(|frame| &frame["number"]).collect::<Vec<_>>(), [2, 1]);
    let (impossible, corrected) = (&listed[0], &listed[1]);
    assert_eq!((&corrected["clock"], &impossible["clock"]), (&"synchronised".into(), &"impossible".into()));
    assert!(corrected["corrected"].as_str() > corrected["captured"].as_str(), "{corrected}");
    assert_eq!(impossible["corrected"], impossible["received"]);
    assert_eq!(impossible["captured"], "1970-01-01T00:01:00.000Z");
}

#[tokio::test]
async fn what_a_device_says_of_its_inputs_is_listed() {
    let cloud = Cloud::start().await;
    let mut live = cloud.events(Request::get("/v1/live?damaged")).await;
    let mut upload = Upload::open(&cloud, 0, 0).await;
    let location =
        Some(Location { latitude_e7: -338_000_000, longitude_e7: 1_512_000_000, altitude_cm: Some(-450) });
    let marks = vec![Mark { index: 1, damaged: true, location }, Mark { index: 2, damaged: false, location }];
    upload.send(Frames { marks, ..frames(1, 1, &["one", "two", "three"]) }).await.unwrap();
    let list = async |query: &str| cloud.get(&format!("/v1/frames{query}")).await.json()["frames"].clone();
    let all = list("").await;
    let place = json!({ "latitude": -33.8, "longitude": 151.2, "altitude": -4.5 });
    for (index, damaged, location) in [(0, false, &place), (1, true, &place), (2, false, &Value::Null)] {
        assert_eq!((&all[index]["damaged"], &all[index]["location"]), (&damaged.into(), location), "{index}");
    }
    for query in ["?damaged", "?damaged=true", "?device=gate&damaged=true"] {
        assert_eq!(list(query).await, json!([all[1]]), "{query}");
    }
    assert_eq!(list("?damaged=false").await, json!([all[0], all[2]]));
    assert_eq!(live.next().await.unwrap().data, all[1]);
    let export = cloud.get("/v1/export?damaged").await;
    assert_eq!(export.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 1);

    let nowhere = Some(Location { latitude_e7: i32::MAX, longitude_e7: 0, altitude_cm: None });
    let marks = vec![Mark { index: 0, damaged: false, location: nowhere }];
    let status = upload.send(Frames { marks, ..frames(1, 4, &["four"]) }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("not on the earth"), "{status}");
}
