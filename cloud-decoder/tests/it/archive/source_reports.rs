//! What devices report of their sources is kept in memory and listed.

use std::time::Duration;

use lopside_proto::v1::{
    Hello, SourceCondition, SourceReport, SourceReports, UploadRequest, UploadResponse,
    ingest_service_client::IngestServiceClient, upload_request, upload_response,
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::support::Cloud;

/// An open connection of a device.
struct Device {
    requests: mpsc::Sender<UploadRequest>,
    responses: Streaming<UploadResponse>,
}

impl Device {
    async fn connect(cloud: &Cloud, name: &str) -> Self {
        let (requests, receiver) = mpsc::channel(4);
        let hello = Hello { device: name.into(), spool: 9, ..Hello::default() };
        requests.send(request(upload_request::Message::Hello(hello))).await.unwrap();
        let mut client = IngestServiceClient::connect(cloud.url.clone()).await.unwrap();
        let mut responses = client.upload(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        let answer = responses.message().await.unwrap().unwrap().message;
        assert!(matches!(answer, Some(upload_response::Message::Welcome(_))), "{answer:?}");
        Self { requests, responses }
    }

    async fn report(&self, sources: Vec<SourceReport>) {
        let reports = SourceReports { sources, omitted: 1 };
        self.requests.send(request(upload_request::Message::SourceReports(reports))).await.unwrap();
    }

    /// Ends the connection, and waits until the server has noticed.
    async fn disconnect(mut self) {
        drop(self.requests);
        while self.responses.message().await.unwrap().is_some() {}
    }
}

fn request(message: upload_request::Message) -> UploadRequest {
    UploadRequest { message: Some(message) }
}

fn source(name: &str, condition: SourceCondition) -> SourceReport {
    SourceReport { name: name.into(), condition: condition.into(), ..SourceReport::default() }
}

/// Reads the report of the first device until it meets a condition. A report is not acknowledged.
async fn until_report(cloud: &Cloud, condition: impl Fn(&Value) -> bool) -> Value {
    let polling = timeout(Duration::from_mins(1), async {
        loop {
            let devices = cloud.get("/v1/devices").await.json();
            let report = &devices["devices"][0]["report"];
            if condition(report) {
                return report.clone();
            }
        }
    });
    polling.await.unwrap()
}

#[tokio::test]
async fn the_last_report_of_a_device_is_listed() {
    let cloud = Cloud::start().await;
    let device = Device::connect(&cloud, "gate").await;
    assert_eq!(until_report(&cloud, |_| true).await, Value::Null);
    let silent = SourceReport {
        restarts: 3,
        since_last_input_ms: Some(90_000),
        problem: "no input for 30 s".into(),
        ..source("camera", SourceCondition::Silent)
    };
    device.report(vec![silent, source("inbox", SourceCondition::Working)]).await;
    let report = until_report(&cloud, |report| !report.is_null()).await;
    assert_eq!((&report["current"], &report["omitted"]), (&json!(true), &json!(1)));
    let camera = &report["sources"][0];
    let last_input = camera["last_input"].as_str().unwrap();
    assert!(last_input < report["received"].as_str().unwrap(), "{report}");
    assert_eq!(
        *camera,
        json!({
            "name": "camera",
            "condition": "silent",
            "restarts": 3,
            "last_input": last_input,
            "problem": "no input for 30 s",
        })
    );
    let inbox = json!({ "name": "inbox", "condition": "working", "restarts": 0, "last_input": null, "problem": null });
    assert_eq!(report["sources"][1], inbox);

    device.report(vec![source("camera", SourceCondition::Working)]).await;
    let report = until_report(&cloud, |report| report["sources"][0]["condition"] == "working").await;
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    device.disconnect().await;
    let report = until_report(&cloud, |report| report["current"] == false).await;
    assert_eq!(report["sources"][0]["condition"], "working", "the report is kept");
}

#[tokio::test]
async fn an_invalid_report_ends_the_connection_with_the_reason() {
    let cloud = Cloud::start().await;
    let mut device = Device::connect(&cloud, "gate").await;
    device.report(vec![source("camera", SourceCondition::Working); 2]).await;
    let status = device.responses.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("\"camera\" twice"), "{status}");
}

#[tokio::test]
async fn the_largest_image_is_stated_to_a_client_without_a_hello() {
    let cloud = Cloud::start().await;
    let mut client = IngestServiceClient::connect(cloud.url.clone()).await.unwrap();
    let mut response = client.upload(tokio_stream::empty()).await.unwrap();
    let stated = response.metadata().get("lopside-max-pixels").unwrap();
    assert_eq!(stated.to_str().unwrap(), "40000000");
    assert_eq!(response.get_mut().message().await.unwrap_err().code(), Code::InvalidArgument);
}
