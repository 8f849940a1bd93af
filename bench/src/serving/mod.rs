//! Compares cloud-decoder with other model servers: the same models, the same number of ONNX Runtime threads,
//! in one run.
//!
//! ```text
//! xtask/serving.txt ─install─► environments ─┐
//! models ─► bundle, .onnx ───────────────────┴► servers, all up ─► rounds in turns ─► medians, ratios, verdicts
//! ```
//! Servers are measured one at a time, round after round, so that other load on the machine affects all of
//! them.

mod abuse;
mod fleet;
mod floor;
mod h2load;
mod install;
mod load;
mod models;
mod peers;
mod perf;
mod process;
mod report;
mod server;
mod speed;
mod strain;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use self::{
    abuse::Abuse,
    fleet::Member,
    floor::Floor,
    models::Model,
    peers::{CPU, OURS, PEERS, Peer},
    report::Report,
    speed::Asker,
};
use crate::BenchError;

/// The command-line options of `bench serving`.
#[derive(Debug, Args)]
pub(crate) struct ServingOptions {
    /// Other servers: triton, mosec, mlserver, kserve, bentoml, litserve, and cpu, which is cloud-decoder on
    /// the CPU; an empty name measures cloud-decoder alone
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "triton,mosec")]
    peers: Vec<String>,
    /// Device on which cloud-decoder runs heads; the bare loop and the other servers use the CPU
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Models to measure
    #[arg(long, value_delimiter = ',', default_value = "tiny,decoder")]
    models: Vec<Model>,
    /// Measurements to run
    #[arg(long, value_delimiter = ',', default_value = "speed,tail,overload")]
    what: Vec<What>,
    /// Number of concurrent requests
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_name = "N")]
    concurrency: Vec<usize>,
    /// Clients that send the requests
    #[arg(long, value_delimiter = ',', default_value = "own,h2load,perf-analyzer")]
    clients: Vec<Asker>,
    /// Duration of a round in seconds, per server
    #[arg(long, default_value = "3", value_name = "SECONDS")]
    seconds: NonZeroU32,
    /// Number of rounds; the medians are printed
    #[arg(long, default_value = "5", value_name = "N")]
    rounds: NonZeroUsize,
    /// Number of ONNX Runtime threads, in every server and in the bare loop
    #[arg(long, default_value = "1", value_name = "N")]
    threads: NonZeroUsize,
    /// Number of requests of a soak test
    #[arg(long, default_value = "500000", value_name = "N")]
    requests: u64,
    /// Deadline of a request in an open loop, in milliseconds
    #[arg(long, default_value = "2000", value_name = "MS")]
    deadline: NonZeroU32,
    /// Binary of cloud-decoder; `cargo xtask bench` builds it and sets the variable
    #[arg(long, env = "LOPSIDE_CLOUD_DECODER", value_name = "FILE")]
    decoder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The device on which cloud-decoder runs heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    /// The processor
    Cpu,
    /// A GPU; requires an ONNX Runtime with CUDA
    Cuda,
}

impl Device {
    const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// A kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// CPU time per request, requests per second, latencies in closed loops
    Speed,
    /// Latencies at 70 % of each server's own peak, and at 70 % of the lowest peak
    Tail,
    /// Goodput and memory at five times the peak
    Overload,
    /// Errors and memory over many requests
    Soak,
    /// Effect of slow connections, damaged requests and model reloads on the latency of healthy clients of
    /// cloud-decoder
    Abuse,
}

/// The context that every measurement needs.
struct Bench<'a> {
    options: &'a ServingOptions,
    work: &'a Path,
    runtime: &'a Runtime,
}

impl ServingOptions {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline.get().into())
    }

    /// Returns cloud-decoder, if its binary is known, and the requested peers.
    fn servers(&self) -> Result<Vec<Peer>, BenchError> {
        let known = |name: &String| PEERS.into_iter().chain([CPU]).find(|peer| peer.name == name);
        let peers = self.peers.iter().filter(|name| !name.is_empty()).map(|name| {
            known(name).ok_or_else(|| BenchError::Server {
                name: name.clone(),
                reason: "unknown peer; `cargo xtask bench serving --help` lists the peers".into(),
            })
        });
        self.decoder.iter().map(|_| Ok(OURS)).chain(peers).collect()
    }
}

/// Runs all measurements and prints the report.
pub(crate) fn run(options: &ServingOptions) -> Result<(), BenchError> {
    let servers = options.servers()?;
    let work = tempfile::tempdir().map_err(|error| BenchError::Load(error.to_string()))?;
    let runtime = load::runtime()?;
    let bench = Bench { options, work: work.path(), runtime: &runtime };
    let mut report = Report::default();
    for &model in &options.models {
        model.write(&work.path().join("models"))?;
        measure(model, &servers, &bench, &mut report)?;
    }
    report.print(options.json)
}

fn measure(model: Model, servers: &[Peer], bench: &Bench<'_>, report: &mut Report) -> Result<(), BenchError> {
    let mut floor = Floor::new(model, bench.options.threads.get())?;
    let expected = floor.run()?;
    let mut members = Vec::with_capacity(servers.len());
    for &peer in servers {
        eprintln!("bench: {}: starting {}", model.name(), peer.name);
        members.push(Member::start(peer, model, &expected, bench)?);
    }
    let wanted = |what| bench.options.what.contains(&what);
    if wanted(What::Speed) {
        eprintln!("bench: {}: measuring speed", model.name());
        report.speeds(model, speed::measure(&members, model, &mut floor, bench)?);
    }
    // These measurements include only servers with the protocol of cloud-decoder.
    let members: Vec<&Member> = members.iter().filter(|member| member.peer.speaks == OURS.speaks).collect();
    if wanted(What::Tail) {
        eprintln!("bench: {}: measuring at 70 % of the peak", model.name());
        report.tails.extend(strain::tails(&members, model, bench)?);
    }
    for member in members {
        // Five times the peak of the tiny model exceeds the rate that the client can send.
        if wanted(What::Overload) && model == Model::Decoder {
            eprintln!("bench: {}: measuring {} at five times its peak", model.name(), member.peer.name);
            report.overloads.push(strain::overload(member, model, bench)?);
        }
        if wanted(What::Soak) && model == Model::Tiny {
            eprintln!("bench: {}: soak test of {}", model.name(), member.peer.name);
            report.soaks.push(strain::soak(member, model, bench)?);
        }
        if wanted(What::Abuse) && member.peer.name == OURS.name {
            for &kind in Abuse::value_variants() {
                eprintln!("bench: {}: measuring under abuse: {kind:?}", model.name());
                report.abuses.push(abuse::measure(member, kind, bench)?);
            }
        }
    }
    Ok(())
}
