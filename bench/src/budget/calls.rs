//! Attacks by calls: images that are expensive to decode, guessed keys, and calls that are cancelled.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_proto::v1::{DecodeRequest, decoder_service_client::DecoderServiceClient};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{interval, timeout},
};
use tonic::{Code, transport::Channel};

use super::answers::AnswerCounts;
use crate::{BenchError, error::request_error};

/// Number of large images that are decoded at the same time.
const IMAGES: usize = 8;
/// Deadline of a large image.
const IMAGE_DEADLINE: Duration = Duration::from_secs(20);
/// Number of guessed keys.
const GUESSES: usize = 5000;
/// Maximum number of unanswered guesses.
const MAX_WAITING_GUESSES: usize = 32;
/// Number of cancelled calls.
const CANCELLED_CALLS: usize = 1000;
/// Interval between two cancelled calls.
const CANCEL_INTERVAL: Duration = Duration::from_millis(10);
/// Time after which a call is cancelled.
const CANCEL_AFTER: Duration = Duration::from_millis(2);

/// Requests the decoding of several large images at the same time.
pub(super) async fn decode_images(url: &str, frame: &Arc<[u8]>) -> Result<String, BenchError> {
    let service = DecoderServiceClient::connect(url.to_owned()).await.map_err(request_error)?;
    let service = service.max_decoding_message_size(usize::MAX);
    let mut calls = JoinSet::new();
    for _ in 0..IMAGES {
        let mut service = service.clone();
        let mut request = tonic::Request::new(decode_request(frame));
        request.set_timeout(IMAGE_DEADLINE);
        calls.spawn(async move {
            let response = service.decode(request).await;
            response.map_or_else(|status| status.code(), |_| Code::Ok)
        });
    }
    let mut answers = AnswerCounts::default();
    while let Some(code) = calls.join_next().await {
        answers.add(format!("{:?}", code.map_err(request_error)?));
    }
    Ok(format!("{answers}, for frames of {} bytes", frame.len()))
}

/// Sends requests with random keys.
pub(super) async fn guess_keys(url: &str) -> Result<String, BenchError> {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let permits = Arc::new(Semaphore::new(MAX_WAITING_GUESSES));
    let mut guesses = JoinSet::new();
    for _ in 0..GUESSES {
        let permit = Arc::clone(&permits).acquire_owned().await.map_err(request_error)?;
        let key = format!("Bearer lps_{:032x}", rand::random::<u128>());
        let request = Request::get(format!("{url}/v1/bundles")).header("authorization", key);
        let request = request.body(Empty::new()).map_err(request_error)?;
        let response = client.request(request);
        guesses.spawn(async move {
            let answer = match response.await {
                Ok(response) => {
                    let status = response.status();
                    let _ = response.into_body().collect().await;
                    status.as_str().to_owned()
                }
                Err(error) => error.to_string(),
            };
            drop(permit);
            answer
        });
    }
    let mut answers = AnswerCounts::default();
    while let Some(answer) = guesses.join_next().await {
        answers.add(answer.map_err(request_error)?);
    }
    Ok(answers.to_string())
}

/// Sends calls on a connection and cancels each shortly after.
pub(super) async fn reset_calls(channel: &Channel, frame: &Arc<[u8]>) -> Result<String, BenchError> {
    let mut ticks = interval(CANCEL_INTERVAL);
    let mut calls = JoinSet::new();
    for _ in 0..CANCELLED_CALLS {
        ticks.tick().await;
        let mut service = DecoderServiceClient::new(channel.clone());
        let request = decode_request(frame);
        calls.spawn(async move {
            match timeout(CANCEL_AFTER, service.decode(request)).await {
                Ok(Ok(_)) => "answered".to_owned(),
                Ok(Err(status)) => format!("{:?}", status.code()),
                Err(_) => "cancelled".to_owned(),
            }
        });
    }
    let mut answers = AnswerCounts::default();
    while let Some(answer) = calls.join_next().await {
        answers.add(answer.map_err(request_error)?);
    }
    Ok(answers.to_string())
}

fn decode_request(frame: &Arc<[u8]>) -> DecodeRequest {
    DecodeRequest { frames: vec![Bytes::from_owner(Arc::clone(frame))], ..DecodeRequest::default() }
}
