//! CPU time per request, requests per second and latencies of every server, measured in turns.

use std::time::Duration;

use serde::Serialize;

use super::{
    ServingContext,
    bare_loop::BareLoop,
    fleet::RunningServer,
    h2load,
    load::{StopCondition, run_closed},
    models::Model,
    peers::Protocol,
    perf,
    round_figures::RoundFigures,
    script_client::{ScriptClient, ScriptRound},
};
use crate::{BenchError, error::io_error, median::median};

/// Duration of a warm-up round, which is not counted.
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// The client that sends the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoadClient {
    /// Triton's Python client over gRPC, unmodified, for servers with its protocol
    TritonclientGrpc,
    /// Triton's Python client over HTTP, unmodified; for the other servers aiohttp, which it uses
    TritonclientHttp,
    /// gRPC's client for Node.js, unmodified, for servers with Triton's protocol
    GrpcJs,
    /// The client of this bench, the same for every server
    Own,
    /// The client of nghttp2, which uses little CPU time, for servers with Triton's protocol
    H2load,
    /// Triton's load generator, for servers with its protocol and request statistics
    PerfAnalyzer,
}

/// The figures of a server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerSpeed {
    pub(crate) server: String,
    pub(crate) model: &'static str,
    pub(crate) client: LoadClient,
    pub(crate) concurrency: usize,
    #[serde(flatten)]
    pub(crate) figures: RoundFigures,
}

/// The figures of a model: those of the servers, and the CPU time per run in a bare loop, in milliseconds.
#[derive(Debug)]
pub(crate) struct ModelSpeeds {
    pub(crate) servers: Vec<ServerSpeed>,
    pub(crate) floor: f64,
}

/// Measures all servers with one model, round after round.
pub(crate) fn measure_speeds(
    running: &[RunningServer],
    model: Model,
    bare_loop: &mut BareLoop,
    context: &ServingContext<'_>,
) -> Result<ModelSpeeds, BenchError> {
    let options = context.options;
    let mut floors = Vec::new();
    let mut servers = Vec::new();
    for &concurrency in &options.concurrency {
        for &client in &options.clients {
            let supported: Vec<&RunningServer> =
                running.iter().filter(|server| client.supports_server(server)).collect();
            let mut samples = vec![Vec::new(); supported.len()];
            for _ in 0..options.rounds.get() {
                for (server, samples) in supported.iter().zip(&mut samples) {
                    samples.push(client.measure_round(server, model, concurrency, context)?);
                }
                floors.push(bare_loop.cpu_ms(options.round_time() / 2)?);
            }
            servers.extend(supported.iter().zip(samples).map(|(server, samples)| ServerSpeed {
                server: server.peer.name.to_owned(),
                model: model.name(),
                client,
                concurrency,
                figures: RoundFigures::medians(&samples),
            }));
        }
    }
    Ok(ModelSpeeds { servers, floor: median(floors) })
}

impl LoadClient {
    /// Returns the name of the client.
    pub(crate) fn name(self) -> &'static str {
        match (self.script(), self) {
            (Some(script), _) => script.name(),
            (None, Self::H2load) => "h2load",
            (None, Self::PerfAnalyzer) => "perf_analyzer",
            (None, _) => "own",
        }
    }

    /// Returns whether this is an unmodified client that users of servers have; it is often the limit of the rate.
    pub(crate) fn is_unmodified(self) -> bool {
        self.script().is_some()
    }

    fn script(self) -> Option<ScriptClient> {
        match self {
            Self::TritonclientGrpc => Some(ScriptClient::TritonGrpc),
            Self::TritonclientHttp => Some(ScriptClient::TritonHttp),
            Self::GrpcJs => Some(ScriptClient::GrpcJs),
            Self::Own | Self::H2load | Self::PerfAnalyzer => None,
        }
    }

    fn supports_server(self, server: &RunningServer) -> bool {
        match self {
            Self::Own | Self::TritonclientHttp => true,
            Self::TritonclientGrpc | Self::GrpcJs | Self::H2load => {
                server.peer.protocol == Protocol::OpenInference
            }
            // mlserver and kserve do not report the number of answered requests.
            Self::PerfAnalyzer => ["cloud-decoder", "triton"].contains(&server.peer.name),
        }
    }

    fn measure_round(
        self,
        server: &RunningServer,
        model: Model,
        concurrency: usize,
        context: &ServingContext<'_>,
    ) -> Result<RoundFigures, BenchError> {
        let (runtime, duration) = (context.runtime, context.options.round_time());
        if let Some(script) = self.script() {
            let round = ScriptRound { server, model, concurrency, duration, accepts_compression: true };
            return script.measure_round(round);
        }
        let work_folder = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
        match self {
            Self::H2load => h2load::measure_round(server, concurrency, duration, work_folder.path()),
            Self::PerfAnalyzer => {
                let (address, tree) = (server.address(), server.tree());
                let run = perf::PerfRun {
                    address,
                    model: &server.model_name,
                    concurrency,
                    duration,
                    tree,
                    work_folder: work_folder.path(),
                };
                runtime.block_on(run.measure_round())
            }
            _ => runtime.block_on(measure_own_client(server, concurrency, duration)),
        }
    }
}

/// Measures one round with the bench's own client.
pub(crate) async fn measure_own_client(
    server: &RunningServer,
    concurrency: usize,
    duration: Duration,
) -> Result<RoundFigures, BenchError> {
    run_closed(&server.target, concurrency, StopCondition::Elapsed(WARM_UP_TIME)).await?;
    let cpu_before = server.tree().cpu();
    let (mut tally, elapsed) =
        run_closed(&server.target, concurrency, StopCondition::Elapsed(duration)).await?;
    let cpu = server.tree().cpu().saturating_sub(cpu_before);
    if let Some(reason) = &tally.first_failure {
        eprintln!(
            "bench: {}: {} requests failed; reason of the first failure: {reason}",
            server.peer.name, tally.failed
        );
    }
    let answered = tally.answered();
    Ok(RoundFigures {
        cpu_ms: cpu.as_secs_f64() * 1e3 / answered.max(1) as f64,
        per_second: answered as f64 / elapsed.as_secs_f64(),
        p50_ms: tally.latency_quantile(0.5),
        p99_ms: tally.latency_quantile(0.99),
        errors: tally.failed + tally.rejected + tally.late,
    })
}
