use std::time::Instant;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use super::device::Load;
use crate::{BenchError, cloud::Cloud, error::failed, median::median, table::Row};

/// Number of devices that fill the archive.
const DEVICES: usize = 10;
/// Number of requests per list.
const ASKED: usize = 21;
/// Frames per page on the way to the middle of the list.
const STRIDE: usize = 1000;

/// Measures the milliseconds per page of 100 frames, in an archive that is filled up to `frames` frames.
pub(super) async fn measure(
    cloud: &Cloud,
    name: &str,
    frames: usize,
    together: usize,
) -> Result<Vec<Row>, BenchError> {
    let lists = Lists { client: Client::builder(TokioExecutor::new()).build_http(), url: cloud.url.clone() };
    fill(cloud, frames.saturating_sub(lists.frames().await?), together).await?;
    let middle = lists.walk(frames / 2).await?;
    let wanted = [
        ("first page", String::new()),
        ("page in the middle", format!("&after={middle}")),
        ("first page of one device", "&device=device-0".to_owned()),
    ];
    let count = lists.frames().await?;
    let mut rows = Vec::new();
    for (what, query) in wanted {
        let mut times = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            let start = Instant::now();
            lists.get(&format!("/v1/frames?limit=100{query}")).await?;
            times.push(1e3 * start.elapsed().as_secs_f64());
        }
        rows.push(Row::new(format!("{name}, {count} frames: {what}"), median(times), "ms"));
    }
    Ok(rows)
}

async fn fill(cloud: &Cloud, frames: usize, together: usize) -> Result<(), BenchError> {
    let load = Load { messages: frames.div_ceil(DEVICES * together), together, bytes: 50 };
    super::sent(cloud, DEVICES, load).await.map(drop)
}

struct Lists {
    client: Client<HttpConnector, Empty<Bytes>>,
    url: String,
}

impl Lists {
    async fn get(&self, path: &str) -> Result<Value, BenchError> {
        let url = format!("{}{path}", self.url).parse().map_err(failed)?;
        let answer = self.client.get(url).await.map_err(failed)?;
        let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    /// Returns the number of frames of all devices.
    async fn frames(&self) -> Result<usize, BenchError> {
        let answer = self.get("/v1/devices").await?;
        let devices = answer["devices"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(devices.iter().filter_map(|device| device["frames"].as_u64()).sum::<u64>() as usize)
    }

    /// Returns the cursor after about `frames` frames: a multiple of [`STRIDE`], rounded up.
    async fn walk(&self, frames: usize) -> Result<String, BenchError> {
        let mut cursor = String::new();
        for _ in 0..frames.div_ceil(STRIDE).max(1) {
            let after = if cursor.is_empty() { String::new() } else { format!("&after={cursor}") };
            let page = self.get(&format!("/v1/frames?limit={STRIDE}{after}")).await?;
            let next = page["next"]
                .as_str()
                .ok_or_else(|| failed("the list of frames ended before its middle was reached"))?;
            next.clone_into(&mut cursor);
        }
        Ok(cursor)
    }
}
