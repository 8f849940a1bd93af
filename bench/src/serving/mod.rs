//! cloud-decoder beside other model servers: the same models, the same threads for ONNX Runtime, one run.
//!
//! ```text
//! xtask/serving.txt ─install─► environments ─┐
//! models ─► bundle, .onnx ───────────────────┴► servers, all up ─► rounds in turns ─► medians, ratios, verdicts
//! ```
//! Servers are asked one at a time, round after round, so that what else the machine does falls on all of them.

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

/// Options of `serving`.
#[derive(Debug, Args)]
pub(crate) struct ServingOptions {
    /// The other servers, of triton, mosec, mlserver, kserve, bentoml, litserve, and cpu, which is ours there; none leaves
    /// us alone
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "triton,mosec")]
    peers: Vec<String>,
    /// What our server runs heads on; the bare loop and the others stay on the CPU
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// The models
    #[arg(long, value_delimiter = ',', default_value = "tiny,decoder")]
    models: Vec<Model>,
    /// What is measured
    #[arg(long, value_delimiter = ',', default_value = "speed,tail,overload")]
    what: Vec<What>,
    /// Requests under way at the same time
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_name = "N")]
    concurrency: Vec<usize>,
    /// Who asks
    #[arg(long, value_delimiter = ',', default_value = "own,h2load,perf-analyzer")]
    clients: Vec<Asker>,
    /// How long a server is asked in a round
    #[arg(long, default_value = "3", value_name = "SECONDS")]
    seconds: NonZeroU32,
    /// Rounds, of which the medians count
    #[arg(long, default_value = "5", value_name = "N")]
    rounds: NonZeroUsize,
    /// Threads of ONNX Runtime, in every server and in the bare loop
    #[arg(long, default_value = "1", value_name = "N")]
    threads: NonZeroUsize,
    /// Requests of a soak
    #[arg(long, default_value = "500000", value_name = "N")]
    requests: u64,
    /// When a request that comes by itself is given up, in milliseconds
    #[arg(long, default_value = "2000", value_name = "MS")]
    deadline: NonZeroU32,
    /// cloud-decoder's binary; `cargo xtask bench` builds it and says where it is
    #[arg(long, env = "LOPSIDE_CLOUD_DECODER", value_name = "FILE")]
    decoder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What our server runs heads on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    /// The processor
    Cpu,
    /// A GPU, by an ONNX Runtime that has CUDA
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

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// CPU time a request, requests a second, latencies in closed loops
    Speed,
    /// Latencies at 70 % of each server's own peak, and of the lowest peak
    Tail,
    /// Goodput and memory at five times the peak
    Overload,
    /// Errors and memory over many requests
    Soak,
    /// What healthy callers of ours notice of slow connections, damaged requests and swaps
    Abuse,
}

/// What every measurement needs.
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

    /// Us, when there is a binary, and the peers that were asked for.
    fn servers(&self) -> Result<Vec<Peer>, BenchError> {
        let known = |name: &String| PEERS.into_iter().chain([CPU]).find(|peer| peer.name == name);
        let peers = self.peers.iter().filter(|name| !name.is_empty()).map(|name| {
            known(name)
                .ok_or_else(|| BenchError::Server { name: name.clone(), reason: "no such peer".into() })
        });
        self.decoder.iter().map(|_| Ok(OURS)).chain(peers).collect()
    }
}

/// Measures and prints.
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
        eprintln!("bench: {}: speed", model.name());
        report.speeds(model, speed::measure(&members, model, &mut floor, bench)?);
    }
    // Of servers that all speak one protocol.
    let members: Vec<&Member> = members.iter().filter(|member| member.peer.speaks == OURS.speaks).collect();
    if wanted(What::Tail) {
        eprintln!("bench: {}: at 70 % of the peak", model.name());
        report.tails.extend(strain::tails(&members, model, bench)?);
    }
    for member in members {
        // Five times the peak of the tiny model is more than the client can send.
        if wanted(What::Overload) && model == Model::Decoder {
            eprintln!("bench: {}: {} at five times its peak", model.name(), member.peer.name);
            report.overloads.push(strain::overload(member, model, bench)?);
        }
        if wanted(What::Soak) && model == Model::Tiny {
            eprintln!("bench: {}: {} over many requests", model.name(), member.peer.name);
            report.soaks.push(strain::soak(member, model, bench)?);
        }
        if wanted(What::Abuse) && member.peer.name == OURS.name {
            for &kind in Abuse::value_variants() {
                eprintln!("bench: {}: {kind:?}", model.name());
                report.abuses.push(abuse::measure(member, kind, bench)?);
            }
        }
    }
    Ok(())
}
