//! CPU time per request, requests per second and latencies of every server, measured in turns.

use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Runtime;

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
};
use crate::{BenchError, error::io_error, median::median};

/// Duration of a warm-up round, which is not counted.
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// The client that sends the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoadClient {
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
    members: &[RunningServer],
    model: Model,
    bare_loop: &mut BareLoop,
    bench: &ServingContext<'_>,
) -> Result<ModelSpeeds, BenchError> {
    let options = bench.options;
    let mut floors = Vec::new();
    let mut servers = Vec::new();
    for &concurrency in &options.concurrency {
        for &client in &options.clients {
            let asked: Vec<&RunningServer> =
                members.iter().filter(|member| client.supports_server(member)).collect();
            let mut samples = vec![Vec::new(); asked.len()];
            for _ in 0..options.rounds.get() {
                for (member, samples) in asked.iter().zip(&mut samples) {
                    samples.push(client.measure_round(
                        member,
                        concurrency,
                        options.round_time(),
                        bench.runtime,
                    )?);
                }
                floors.push(bare_loop.cpu_ms(options.round_time() / 2)?);
            }
            servers.extend(asked.iter().zip(samples).map(|(member, samples)| ServerSpeed {
                server: member.peer.name.to_owned(),
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
    fn supports_server(self, member: &RunningServer) -> bool {
        match self {
            Self::Own => true,
            Self::H2load => member.peer.protocol == Protocol::OpenInference,
            // mlserver and kserve do not report the number of answered requests.
            Self::PerfAnalyzer => ["cloud-decoder", "triton"].contains(&member.peer.name),
        }
    }

    fn measure_round(
        self,
        member: &RunningServer,
        concurrency: usize,
        time: Duration,
        runtime: &Runtime,
    ) -> Result<RoundFigures, BenchError> {
        let work = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
        match self {
            Self::Own => runtime.block_on(measure_own_client(member, concurrency, time)),
            Self::H2load => h2load::measure_round(member, concurrency, time, work.path()),
            Self::PerfAnalyzer => {
                let (address, tree) = (member.address(), member.tree());
                let run = perf::PerfRun {
                    address,
                    model: &member.model_name,
                    concurrency,
                    time,
                    tree,
                    work: work.path(),
                };
                runtime.block_on(run.measure_round())
            }
        }
    }
}

/// Measures one round with the bench's own client.
pub(crate) async fn measure_own_client(
    member: &RunningServer,
    concurrency: usize,
    time: Duration,
) -> Result<RoundFigures, BenchError> {
    run_closed(&member.target, concurrency, StopCondition::Elapsed(WARM_UP_TIME)).await?;
    let before = member.tree().cpu();
    let (mut tally, elapsed) = run_closed(&member.target, concurrency, StopCondition::Elapsed(time)).await?;
    let cpu = member.tree().cpu().saturating_sub(before);
    if let Some(why) = &tally.first_failure {
        eprintln!(
            "bench: {}: {} requests failed; reason of the first failure: {why}",
            member.peer.name, tally.failed
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
