//! The effect of abusive clients on healthy ones: the p99 beside thousands of slow connections, beside
//! damaged requests and beside a model that is constantly reloaded, relative to the p99 without them, round
//! by round.

use std::{net::SocketAddr, time::Duration};

use clap::ValueEnum;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    task::{AbortHandle, JoinSet},
    time::{interval, sleep},
};

use super::{
    ServingContext,
    fleet::RunningServer,
    load::{INFER_PATH, StopCondition, run_closed},
};
use crate::{BenchError, error::NetworkError, median::median};

/// Number of slow connections.
const SLOW_CONNECTIONS: usize = 2000;
/// The bytes that a slow connection sends, one at a time.
const SLOW_HEADER: &[u8] = b"GET /v2 HTTP/1.1\r\nhost: nobody\r\nx: ";
/// Interval between two bytes of a slow connection.
const BYTE_INTERVAL: Duration = Duration::from_secs(2);
/// Interval between two damaged requests.
const DAMAGED_INTERVAL: Duration = Duration::from_millis(2);
/// Minimum interval between two reloads of the model.
const RELOAD_INTERVAL: Duration = Duration::from_millis(100);
/// Number of healthy clients.
const HEALTHY_CLIENTS: usize = 8;

/// A kind of abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Abuse {
    /// 2,000 connections that send one byte every two seconds
    SlowConnections,
    /// 500 damaged requests per second
    DamagedRequests,
    /// The model is reloaded up to ten times per second
    Swaps,
}

/// The figures of the healthy clients.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AbuseFigures {
    pub(crate) abuse: Abuse,
    /// Median p99 over the rounds without abuse, in milliseconds.
    pub(crate) quiet_p99_ms: f64,
    /// Median p99 over the rounds with abuse, in milliseconds.
    pub(crate) abused_p99_ms: f64,
    /// The median of the rounds' ratios.
    pub(crate) ratio: f64,
    /// Number of healthy requests that were not answered.
    pub(crate) errors: u64,
}

/// Measures healthy clients without and with abuse, in turns.
pub(crate) fn measure_abuse(
    server: &RunningServer,
    abuse: Abuse,
    context: &ServingContext<'_>,
) -> Result<AbuseFigures, BenchError> {
    let ServingContext { options, runtime, .. } = context;
    let (mut quiet, mut abused, mut ratios, mut errors) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let until = StopCondition::Elapsed(options.round_time());
    for _ in 0..options.rounds.get() {
        let (mut baseline, _) = runtime.block_on(run_closed(&server.target, HEALTHY_CLIENTS, until))?;
        // A separate thread, so that the healthy clients' timing does not depend on it.
        let abusers = AbuseRunner::start(server, abuse)?;
        let (mut under_abuse, _) = runtime.block_on(run_closed(&server.target, HEALTHY_CLIENTS, until))?;
        drop(abusers);
        quiet.push(baseline.latency_quantile(0.99));
        abused.push(under_abuse.latency_quantile(0.99));
        ratios.push(under_abuse.latency_quantile(0.99) / baseline.latency_quantile(0.99));
        errors += under_abuse.failed + under_abuse.rejected + under_abuse.late;
    }
    Ok(AbuseFigures {
        abuse,
        quiet_p99_ms: median(quiet),
        abused_p99_ms: median(abused),
        ratio: median(ratios),
        errors,
    })
}

/// The abusive clients; stopped when dropped.
struct AbuseRunner {
    runtime: Option<tokio::runtime::Runtime>,
    task: AbortHandle,
}

impl AbuseRunner {
    fn start(server: &RunningServer, abuse: Abuse) -> Result<Self, BenchError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|source| BenchError::AsyncRuntime { source })?;
        let (address, body, model) =
            (server.address(), server.target.body().clone(), server.model_name.clone());
        let task = match abuse {
            Abuse::SlowConnections => {
                raise_file_limit();
                let connections = runtime.block_on(slow_connections(address));
                let connections = connections.map_err(|source| NetworkError::Socket { source })?;
                runtime.spawn(send_slowly(connections)).abort_handle()
            }
            Abuse::DamagedRequests => runtime.spawn(send_damaged(address, body)).abort_handle(),
            Abuse::Swaps => runtime.spawn(reload_model(address, model)).abort_handle(),
        };
        Ok(Self { runtime: Some(runtime), task })
    }
}

impl Drop for AbuseRunner {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Raises the limit of open files to its maximum: each connection needs one.
fn raise_file_limit() {
    if let Ok((_, max)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, max, max);
    }
}

async fn slow_connections(address: SocketAddr) -> std::io::Result<Vec<TcpStream>> {
    let mut connecting = JoinSet::new();
    let mut connections = Vec::with_capacity(SLOW_CONNECTIONS);
    for _ in 0..SLOW_CONNECTIONS {
        connecting.spawn(TcpStream::connect(address));
        // A listener's backlog limits the number of concurrent connection attempts.
        if connecting.len() >= 100
            && let Some(connection) = connecting.join_next().await
        {
            connections.push(connection??);
        }
    }
    while let Some(connection) = connecting.join_next().await {
        connections.push(connection??);
    }
    Ok(connections)
}

/// Sends one byte on each connection in turn, for ever; failed writes are ignored.
async fn send_slowly(mut connections: Vec<TcpStream>) {
    let pause = BYTE_INTERVAL / SLOW_CONNECTIONS as u32;
    for index in 0.. {
        let byte = SLOW_HEADER.get(index).copied().unwrap_or(b'x');
        for connection in &mut connections {
            let _ = connection.write_all(&[byte]).await;
            sleep(pause).await;
        }
    }
}

/// Sends truncated and modified requests.
async fn send_damaged(address: SocketAddr, valid_body: Bytes) {
    let client = Client::builder(TokioExecutor::new()).timer(TokioTimer::new()).http2_only(true).build_http();
    let mut ticks = interval(DAMAGED_INTERVAL);
    for index in 0.. {
        ticks.tick().await;
        let mut bytes = valid_body.to_vec();
        let len = bytes.len();
        if let Some(byte) = bytes.get_mut(index * 31 % len) {
            *byte ^= 0x41;
        }
        if index % 2 == 0 {
            bytes.truncate(index * 17 % len);
        }
        let request =
            Request::post(format!("http://{address}{INFER_PATH}")).header("content-type", "application/grpc");
        let Ok(request) = request.body(Full::new(Bytes::from(bytes))) else { return };
        if let Ok(response) = client.request(request).await {
            let _ = response.into_body().collect().await;
        }
    }
}

/// Reloads the model's bundle for ever.
async fn reload_model(address: SocketAddr, model: String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    loop {
        let request = Request::post(format!("http://{address}/v2/repository/models/{model}/load"));
        let Ok(request) = request.body(Full::default()) else { return };
        let _ = client.request(request).await;
        sleep(RELOAD_INTERVAL).await;
    }
}
