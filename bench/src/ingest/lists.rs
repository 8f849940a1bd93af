use std::time::Instant;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use super::device::DeviceLoad;
use crate::{
    BenchError,
    cloud::CloudDecoder,
    error::{NetworkError, request_error},
    median::median,
    table::Measurement,
};

/// Number of devices that fill the archive.
const DEVICES: usize = 10;
/// Number of requests per list.
const REQUESTS_PER_LIST: usize = 21;
/// Frames per page on the way to the middle of the list.
const PAGE_FRAMES: usize = 1000;

/// Measures the milliseconds per page of 100 frames, in an archive that is filled up to `frames` frames.
pub(super) async fn measure_lists(
    cloud: &CloudDecoder,
    name: &str,
    frames: usize,
    frames_per_message: usize,
) -> Result<Vec<Measurement>, BenchError> {
    let lists =
        ListClient { client: Client::builder(TokioExecutor::new()).build_http(), url: cloud.url.clone() };
    fill_archive(cloud, frames.saturating_sub(lists.count_frames().await?), frames_per_message).await?;
    let middle = lists.cursor_after(frames / 2).await?;
    let queries = [
        ("first page", String::new()),
        ("page in the middle", format!("&after={middle}")),
        ("first page of one device", "&device=device-0".to_owned()),
    ];
    let count = lists.count_frames().await?;
    let mut rows = Vec::new();
    for (label, query) in queries {
        let mut times = Vec::with_capacity(REQUESTS_PER_LIST);
        for _ in 0..REQUESTS_PER_LIST {
            let start = Instant::now();
            lists.get_json(&format!("/v1/frames?limit=100{query}")).await?;
            times.push(1e3 * start.elapsed().as_secs_f64());
        }
        rows.push(Measurement::new(format!("{name}, {count} frames: {label}"), median(times), "ms"));
    }
    Ok(rows)
}

async fn fill_archive(
    cloud: &CloudDecoder,
    frames: usize,
    frames_per_message: usize,
) -> Result<(), BenchError> {
    let load = DeviceLoad {
        messages: frames.div_ceil(DEVICES * frames_per_message),
        frames_per_message,
        frame_bytes: 50,
    };
    super::measure_rate(cloud, DEVICES, load).await.map(drop)
}

struct ListClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    url: String,
}

impl ListClient {
    async fn get_json(&self, path: &str) -> Result<Value, BenchError> {
        let url = format!("{}{path}", self.url).parse().map_err(request_error)?;
        let response = self.client.get(url).await.map_err(request_error)?;
        let body = response.into_body().collect().await.map_err(request_error)?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    /// Returns the number of frames of all devices.
    async fn count_frames(&self) -> Result<usize, BenchError> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let page = self.get_json(&format!("/v1/devices?limit=1000{after}")).await?;
            let devices = page["devices"].as_array().map_or(&[][..], Vec::as_slice);
            count += devices.iter().filter_map(|device| device["frames"].as_u64()).sum::<u64>();
            let Some(next) = page["next"].as_str() else { return Ok(count as usize) };
            after = format!("&after={next}");
        }
    }

    /// Returns the cursor after about `frames` frames: a multiple of [`PAGE_FRAMES`], rounded up.
    async fn cursor_after(&self, frames: usize) -> Result<String, BenchError> {
        let mut cursor = String::new();
        for _ in 0..frames.div_ceil(PAGE_FRAMES).max(1) {
            let after = if cursor.is_empty() { String::new() } else { format!("&after={cursor}") };
            let page = self.get_json(&format!("/v1/frames?limit={PAGE_FRAMES}{after}")).await?;
            let next = page["next"].as_str().ok_or_else(|| NetworkError::UnexpectedResponse {
                reason: "the list of frames ended before its middle was reached".to_owned(),
            })?;
            next.clone_into(&mut cursor);
        }
        Ok(cursor)
    }
}
