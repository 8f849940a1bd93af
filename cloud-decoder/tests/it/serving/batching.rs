//! Requests of several callers in one run, deadlines, and overload.

use std::time::Duration;

use lopside_proto::inference::{InferParameter, infer_parameter::ParameterChoice};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::{
    bundles::{self, Head},
    support::{Cloud, floats, infer, options},
};

const SLOW_HEAD: Head = Head { name: "slow", version: 3, slow: true };

fn status_of<T>(result: Result<T, Status>) -> Status {
    result.err().expect("the call succeeded")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_share_runs_and_each_receives_its_own_outputs() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[SLOW_HEAD]);
    let mut options = options(folder.path());
    options.max_batch = Some(16);
    let cloud = Cloud::start_with(options).await;
    let client = cloud.client().await;
    let mut calls = JoinSet::new();
    for caller in 0..24_usize {
        let mut client = client.clone();
        calls.spawn(async move {
            let latents: Vec<[f32; 2]> = (0..=caller % 3).map(|item| [caller as f32, item as f32]).collect();
            let response = client.model_infer(infer("a.slow", &latents)).await.unwrap().into_inner();
            assert_eq!(response.outputs[0].shape, [latents.len() as i64, 2]);
            let expected: Vec<f32> = latents.iter().flatten().map(|value| value * 3.0).collect();
            assert_eq!(floats(&response.raw_output_contents[0]), expected);
            latents.len() as u64
        });
    }
    let items: u64 = calls.join_all().await.iter().sum();
    let stats = cloud.statistics("a.slow").await;
    assert_eq!(stats["inference_count"], items);
    assert_eq!(stats["inference_stats"]["success"]["count"], 24);
    // A run takes longer than the arrival of all requests, so those that arrive during the first run fill a batch of 16 up to
    // the 2 items that the next request, of at most 3, may not fit into.
    let runs = stats["execution_count"].as_u64().unwrap();
    let batches = stats["batch_stats"].as_array().unwrap();
    let total = |batch: &serde_json::Value| {
        let count = batch["compute_infer"]["count"].as_u64().unwrap();
        (count, count * batch["batch_size"].as_u64().unwrap())
    };
    let (run_count, item_count) = batches.iter().map(total).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert_eq!((run_count, item_count), (runs, items));
    let largest = batches.iter().map(|batch| batch["batch_size"].as_u64().unwrap()).max();
    assert!(largest.is_some_and(|items| (14..=16).contains(&items)), "{stats}");
    assert!(runs <= 8, "{stats}");
}

/// A quick model runs on the thread of the connection. Requests that arrive together share few runs, and a
/// caller that disconnects does not affect the others.
#[tokio::test]
async fn clients_of_a_quick_model_share_runs_too() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[Head { slow: false, ..SLOW_HEAD }]);
    let mut options = options(folder.path());
    options.max_batch = Some(16);
    let cloud = Cloud::start_with(options).await;
    let client = cloud.client().await;
    for round in 0..20_u16 {
        let mut calls = JoinSet::new();
        for caller in 0..64_u16 {
            let mut client = client.clone();
            let latent = [f32::from(caller), f32::from(round)];
            let call = calls.spawn(async move {
                let response = client.model_infer(infer("a.slow", &[latent])).await.unwrap().into_inner();
                assert_eq!(floats(&response.raw_output_contents[0]), latent.map(|value| value * 3.0));
            });
            if caller % 8 == 7 {
                call.abort();
            }
        }
        while let Some(call) = calls.join_next().await {
            assert!(call.is_ok() || call.is_err_and(|error| error.is_cancelled()));
        }
    }
    let stats = cloud.statistics("a.slow").await;
    let runs = stats["execution_count"].as_u64().unwrap();
    assert!(stats["inference_count"].as_u64().unwrap() >= 20 * 56 && runs < 20 * 28, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_refused_with_a_retry_time_and_accepted_requests_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[SLOW_HEAD]);
    let mut options = options(folder.path());
    (options.queue, options.max_batch) = (Some(2), Some(1));
    let cloud = Cloud::start_with(options).await;
    let client = cloud.client().await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let mut client = client.clone();
        calls.spawn(async move { client.model_infer(infer("a.slow", &[[1.0, 2.0]])).await });
    }
    let (answered, refused): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert!(answered.len() >= 2 && !refused.is_empty(), "{} answered", answered.len());
    for status in refused.into_iter().map(status_of) {
        assert_eq!(status.code(), Code::ResourceExhausted);
        let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        let pushback: u128 =
            status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(delay.as_millis(), pushback);
    }
    let stats = cloud.statistics("a.slow").await;
    assert_eq!(stats["inference_count"], answered.len());
    // REST requests are refused in the same way.
    let body = r#"{"inputs":[{"name":"latent","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;
    let calls = (0..16).map(|_| cloud.post("/v2/models/a.slow/infer", body));
    let mut statuses = Vec::new();
    for response in futures_util::future::join_all(calls).await {
        if response.status == 429 {
            assert!(response.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
            assert!(response.error().contains("slow"), "{}", response.error());
        }
        statuses.push(response.status.as_u16());
    }
    assert!(statuses.contains(&429) && statuses.contains(&200), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_from_header_parameter_or_grpc_ends_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[SLOW_HEAD]);
    let mut options = options(folder.path());
    options.max_batch = Some(1);
    let cloud = Cloud::start_with(options).await;
    let client = cloud.client().await;
    // A long request is ahead of all of them.
    let mut first = client.clone();
    let long: Vec<[f32; 2]> = vec![[1.0, 1.0]; 64];
    let long_request = tokio::spawn(async move { first.model_infer(infer("a.slow", &long)).await });
    let short = Duration::from_micros(1);
    let mut by_grpc = Request::new(infer("a.slow", &[[1.0, 1.0]]));
    by_grpc.metadata_mut().insert("grpc-timeout", "1u".parse().unwrap());
    let mut by_parameter = infer("a.slow", &[[1.0, 1.0]]);
    let timeout =
        InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(short.as_micros() as i64)) };
    by_parameter.parameters.insert("timeout".into(), timeout);
    for request in [by_grpc, Request::new(by_parameter)] {
        let status = status_of(cloud.client_without_deadlines().model_infer(request).await);
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let request = axum::http::Request::post("/v2/models/a.slow/infer")
        .header("lopside-timeout-ms", "0")
        .body(axum::body::Body::from(
            r#"{"inputs":[{"name":"latent","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#,
        ))
        .unwrap();
    assert_eq!(cloud.send(request).await.status, 504);
    long_request.await.unwrap().unwrap();
    // Only the long request has run.
    assert_eq!(cloud.statistics("a.slow").await["inference_count"], 64);
}
