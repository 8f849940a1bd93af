//! `/metrics` counts the events that happened, and nothing else.

// A test helper panics to fail its test. Counts are integers, which floats represent exactly.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use axum::http::{Method, StatusCode, request};
use lopside_e2e::{CloudDecoder, in_clone, sample_frame};
use lopside_proto::v1::{
    DownloadRequest, Frames, GetChannelRequest, Hello, ListBundlesRequest, SourceCondition, SourceReport,
    SourceReports, UploadRequest, bundle_service_client::BundleServiceClient,
    decoder_service_client::DecoderServiceClient, ingest_service_client::IngestServiceClient, upload_request,
    upload_response,
};

const HEAD: &str = r#"bundle="fashion",head="reconstruct""#;

/// The value of every sample, by its name with its labels.
type Samples = BTreeMap<String, f64>;

async fn scrape(cloud: &CloudDecoder) -> Samples {
    let (response, text) = cloud.send_http(request::Builder::new().uri("/metrics"), Vec::new()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Returns the sum of all samples with this name whose labels contain all of `labels`.
fn sum(samples: &Samples, name: &str, labels: &[&str]) -> f64 {
    let matching = samples.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
    matching
        .filter(|(sample, _)| labels.iter().all(|label| sample.contains(label)))
        .map(|(_, value)| value)
        .sum()
}

async fn post(cloud: &CloudDecoder, path: &str, body: Vec<u8>) -> StatusCode {
    cloud.send_http(request::Builder::new().method(Method::POST).uri(path), body).await.0.status()
}

/// Uploads a frame of a device and waits until it is archived.
async fn upload_frame(cloud: &CloudDecoder, number: u64) {
    let hello = Hello { device: "gate-7".into(), now_ms: 1, ..Hello::default() };
    let frames = Frames {
        epoch: 1,
        first: number,
        lengths: vec![1],
        digests: vec![crc32c::crc32c(b"x")],
        frames: b"x"[..].into(),
        ..Frames::default()
    };
    let messages = [upload_request::Message::Hello(hello), upload_request::Message::Frames(frames)];
    let messages = messages.map(|message| UploadRequest { message: Some(message) });
    let mut client = IngestServiceClient::connect(cloud.url.clone()).await.unwrap();
    let mut responses = client.upload(tokio_stream::iter(messages)).await.unwrap().into_inner();
    while let Some(response) = responses.message().await.unwrap() {
        if matches!(response.message, Some(upload_response::Message::Ack(_))) {
            return;
        }
    }
    panic!("the frame was not acknowledged");
}

#[tokio::test]
async fn uploads_are_counted_without_the_names_of_devices() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("sqlite:{}", folder.path().join("archive.db").display());
    let cloud =
        CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &[("LOPSIDE_ARCHIVE", &archive)]);
    upload_frame(&cloud, 1).await;
    upload_frame(&cloud, 2).await;
    upload_frame(&cloud, 2).await;
    let samples = scrape(&cloud).await;
    assert_eq!(sum(&samples, "lopside_ingest_batches_total", &[r#"result="committed""#]), 3.0);
    assert_eq!(sum(&samples, "lopside_ingest_batches_total", &[]), 3.0);
    let frames = |result| sum(&samples, "lopside_ingest_frames_total", &[result]);
    assert_eq!((frames(r#"result="applied""#), frames(r#"result="replayed""#)), (2.0, 1.0));
    assert_eq!(sum(&samples, "lopside_ingest_frames_size_bytes_total", &[]), 3.0);
    assert_eq!(sum(&samples, "lopside_ingest_commit_duration_seconds_count", &[]), 3.0);
    assert_eq!(sum(&samples, "lopside_ingest_clock_skew_seconds_count", &[]), 3.0);
    assert!(samples.keys().all(|sample| !sample.contains("gate-7")), "{samples:?}");
}

#[tokio::test]
async fn sources_that_devices_report_are_counted_while_they_are_connected() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("sqlite:{}", folder.path().join("archive.db").display());
    let cloud =
        CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &[("LOPSIDE_ARCHIVE", &archive)]);
    let source = |name: &str, condition: SourceCondition, restarts| SourceReport {
        name: name.into(),
        condition: condition.into(),
        restarts,
        ..SourceReport::default()
    };
    let report = |restarts| {
        let camera = source("camera", SourceCondition::Silent, restarts);
        let sources = vec![camera, source("inbox", SourceCondition::Working, 0)];
        upload_request::Message::SourceReports(SourceReports { sources, omitted: 0 })
    };
    let hello = Hello { device: "gate-7".into(), ..Hello::default() };
    // A message that is acknowledged shows that those before it have arrived.
    let frames = Frames {
        epoch: 1,
        first: 1,
        lengths: vec![0],
        digests: vec![crc32c::crc32c(b"")],
        ..Frames::default()
    };
    let messages = [
        upload_request::Message::Hello(hello),
        report(5),
        report(7),
        upload_request::Message::Frames(frames),
    ];
    let (requests, receiver) = tokio::sync::mpsc::channel(messages.len());
    for message in messages {
        requests.send(UploadRequest { message: Some(message) }).await.unwrap();
    }
    let mut client = IngestServiceClient::connect(cloud.url.clone()).await.unwrap();
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut responses = client.upload(receiver).await.unwrap().into_inner();
    for _ in ["the welcome", "the acknowledgement"] {
        assert!(responses.message().await.unwrap().is_some());
    }
    let samples = scrape(&cloud).await;
    let sources = |samples: &Samples, condition| sum(samples, "lopside_device_sources", &[condition]);
    assert_eq!(sources(&samples, r#"condition="silent""#), 1.0);
    assert_eq!(sources(&samples, r#"condition="working""#), 1.0);
    let events = |event| sum(&samples, "lopside_ingest_events_total", &[event]);
    assert_eq!((events(r#"event="source_silent""#), events(r#"event="source_restarted""#)), (1.0, 2.0));
    drop(requests);
    assert!(responses.message().await.unwrap().is_none());
    assert_eq!(sources(&scrape(&cloud).await, r#"condition="silent""#), 0.0);
}

#[tokio::test]
async fn requests_are_counted() {
    let frame = sample_frame();
    let cloud = CloudDecoder::start(&[&in_clone("bundles/fashion")]);
    let before = scrape(&cloud).await;
    assert_eq!(sum(&before, "lopside_bundle_changes_total", &[r#"result="loaded""#]), 1.0);
    assert_eq!(sum(&before, "lopside_requests_total", &[]), 0.0);

    let decode = "/v1/bundles/fashion/decode";
    for _ in 0..3 {
        assert_eq!(post(&cloud, decode, frame.clone()).await, StatusCode::OK);
    }
    assert_eq!(post(&cloud, decode, b"no frame".to_vec()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post(&cloud, "/nowhere", Vec::new()).await, StatusCode::NOT_FOUND);

    let after = scrape(&cloud).await;
    assert_eq!(sum(&after, "lopside_requests_total", &[HEAD, r#"result="success""#]), 3.0);
    for result in ["failure", "expired", "abandoned", "refused"] {
        assert_eq!(
            sum(&after, "lopside_requests_total", &[&format!("result=\"{result}\"")]),
            0.0,
            "{result}"
        );
    }
    assert_eq!(sum(&after, "lopside_items_total", &[HEAD]), 3.0);
    assert_eq!(sum(&after, "lopside_runs_total", &[HEAD]), 3.0);
    for duration in ["request", "queue", "input", "infer", "output"] {
        let name = format!("lopside_{duration}_duration_seconds_count");
        assert_eq!(sum(&after, &name, &[HEAD]), 3.0, "{name}");
    }
    assert_eq!(sum(&after, "lopside_batch_size_bucket", &[HEAD, r#"le="1""#]), 3.0);
    assert_eq!(sum(&after, "lopside_jobs", &[]), 0.0);
    assert_eq!(sum(&after, "lopside_jobs_size_bytes", &[]), 0.0);
    let http = "http_server_request_duration_seconds_count";
    let route = r#"http_route="/v1/bundles/{name}/decode""#;
    assert_eq!(sum(&after, http, &[route, r#"http_response_status_code="200""#]), 3.0);
    assert_eq!(sum(&after, http, &[route, r#"http_response_status_code="400""#]), 1.0);
    assert_eq!(sum(&after, http, &[r#"http_response_status_code="404""#]), 1.0);
    assert!(sum(&after, "lopside_front_events_total", &[r#"event="accepted""#]) >= 6.0);
    assert!(sum(&after, "process_memory_usage_bytes", &[]) > 1e6);
    assert!(sum(&after, "process_cpu_time_seconds_total", &[]) > 0.0);
    assert!(sum(&after, "process_open_fds", &[]) > 3.0);
}

#[tokio::test]
async fn counts_continue_after_a_bundle_is_reloaded() {
    let frame = sample_frame();
    let cloud = CloudDecoder::start(&[&in_clone("bundles/fashion")]);
    for action in ["load", "unload", "load"] {
        let path = format!("/v2/repository/models/fashion/{action}");
        assert_eq!(post(&cloud, &path, Vec::new()).await, StatusCode::OK, "{action}");
        if action == "load" {
            assert_eq!(post(&cloud, "/v1/bundles/fashion/decode", frame.clone()).await, StatusCode::OK);
        }
    }
    let samples = scrape(&cloud).await;
    assert_eq!(sum(&samples, "lopside_requests_total", &[HEAD, r#"result="success""#]), 2.0);
    let changes = |result| sum(&samples, "lopside_bundle_changes_total", &[result]);
    assert_eq!((changes(r#"result="loaded""#), changes(r#"result="unloaded""#)), (3.0, 1.0));
}

#[tokio::test]
async fn polls_and_downloads_of_devices_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let channels = folder.path().join("channels.toml");
    fs::write(&channels, "[[channel]]\nname = 'stable'\nbundle = 'fashion'\n").unwrap();
    let channels = [("LOPSIDE_CHANNELS", channels.to_str().unwrap())];
    let cloud = CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &channels);
    let mut client = BundleServiceClient::connect(cloud.url.clone()).await.unwrap();
    let request = |channel: &str| GetChannelRequest {
        channel: channel.into(),
        device: "gate-7".into(),
        ..Default::default()
    };
    assert!(client.get_channel(request("nightly")).await.is_err());
    let offer = client.get_channel(request("stable")).await.unwrap().into_inner();
    let (sha256, bytes) = (offer.files[1].sha256.clone(), offer.files[1].bytes);
    let mut chunks = client.download(DownloadRequest { sha256, offset: 7 }).await.unwrap().into_inner();
    while chunks.message().await.unwrap().is_some() {}

    let samples = scrape(&cloud).await;
    let count_queries = |labels: &[&str]| sum(&samples, "lopside_channel_queries_total", labels);
    assert_eq!(count_queries(&[r#"channel="stable""#, r#"result="offered""#]), 1.0);
    assert_eq!(count_queries(&[r#"channel="_OTHER""#, r#"result="refused""#]), 1.0);
    assert_eq!(count_queries(&[]), 2.0);
    let labels = [r#"result="done""#];
    assert_eq!(sum(&samples, "lopside_downloads_total", &labels), 1.0);
    assert_eq!(sum(&samples, "lopside_downloads_size_bytes_total", &labels), (bytes - 7) as f64);
}

#[tokio::test]
async fn metrics_with_their_own_address_are_not_served_to_clients() {
    let cloud = CloudDecoder::start_with_env(
        &[&in_clone("bundles/fashion")],
        &[("LOPSIDE_METRICS_LISTEN", "127.0.0.1:0")],
    );
    let (response, _) = cloud.send_http(request::Builder::new().uri("/metrics"), Vec::new()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dashboard_alerts_and_documentation_name_metrics_that_exist() {
    // The age of the newest frame is known only if the archive has frames when the server starts.
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("sqlite:{}", folder.path().join("archive.db").display());
    let start =
        || CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &[("LOPSIDE_ARCHIVE", &archive)]);
    upload_frame(&start(), 1).await;
    let cloud = start();
    upload_frame(&cloud, 2).await;
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    client.list_bundles(ListBundlesRequest {}).await.unwrap();
    // The second scrape counts the first one.
    let _ = scrape(&cloud).await;
    let samples = scrape(&cloud).await;
    let known: BTreeSet<&str> = samples.keys().filter_map(|sample| sample.split('{').next()).collect();
    let suffixes = ["_bucket", "_sum", "_count"];
    let families =
        known.iter().flat_map(|name| suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix)));
    let mut families: BTreeSet<&str> = families.collect();
    // Only a server with TLS has it; a test of cloud-decoder reads it there.
    families.insert("lopside_certificate_remaining_seconds");
    for file in
        ["deploy/dashboards/cloud-decoder.json", "deploy/alerts/cloud-decoder.yml", "docs/operating.md"]
    {
        let text = fs::read_to_string(in_clone(file)).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let prefixes = ["lopside_", "rpc_server_", "http_server_", "process_"];
        let named: BTreeSet<&str> =
            words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect();
        assert!(named.len() > 5, "{file}: {named:?}");
        let missing: Vec<_> =
            named.iter().filter(|name| !known.contains(*name) && !families.contains(*name)).collect();
        assert!(missing.is_empty(), "{file}: {missing:?} of {known:?}");
    }
}
