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
mod bare_loop;
mod compression;
mod fleet;
mod h2load;
mod install;
mod judgement;
pub(crate) mod load;
mod models;
mod peers;
mod perf;
pub(crate) mod process;
mod report;
mod round_figures;
mod script_client;
mod server;
mod shared_connection;
mod speed;
mod strain;
mod verdict;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use self::{
    abuse::Abuse,
    bare_loop::BareLoop,
    fleet::RunningServer,
    models::Model,
    peers::{OURS, OURS_ON_CPU, PEERS, Peer},
    report::ServingReport,
    speed::LoadClient,
};
use crate::{
    BenchError,
    error::{ServingError, io_error},
};

/// The command-line options of `bench serving`.
#[derive(Debug, Args)]
pub(crate) struct ServingArgs {
    /// Other servers: triton, mosec, mlserver, kserve, bentoml, litserve, and cpu, which is cloud-decoder on
    /// the CPU; an empty name measures cloud-decoder alone
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "triton,mosec")]
    peers: Vec<String>,
    /// Device on which cloud-decoder runs heads; the bare loop and the other servers use the CPU
    #[arg(long, default_value = "cpu")]
    device: HeadDevice,
    /// Models to measure
    #[arg(long, value_delimiter = ',', default_value = "tiny,decoder")]
    models: Vec<Model>,
    /// Measurements to run
    #[arg(long, value_delimiter = ',', default_value = "speed,compression,shared,tail,overload")]
    what: Vec<ServingMeasurement>,
    /// Number of concurrent requests
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_name = "N")]
    concurrency: Vec<usize>,
    /// Clients that send the requests
    #[arg(long, value_delimiter = ',', default_value = "tritonclient-grpc,tritonclient-http,grpc-js")]
    clients: Vec<LoadClient>,
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
enum HeadDevice {
    /// The processor
    Cpu,
    /// A GPU; requires an ONNX Runtime with CUDA
    Cuda,
}

impl HeadDevice {
    const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// A kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ServingMeasurement {
    /// CPU time per request, requests per second, latencies in closed loops
    Speed,
    /// Latency and CPU time of cloud-decoder with an unmodified client as it is, relative to the same client with
    /// compression off
    Compression,
    /// Latency of small calls to cloud-decoder on a connection on which a large answer is sent
    Shared,
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
struct ServingContext<'a> {
    options: &'a ServingArgs,
    work_folder: &'a Path,
    runtime: &'a Runtime,
}

impl ServingArgs {
    fn round_time(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline.get().into())
    }

    /// Returns cloud-decoder, if its binary is known, and the requested peers.
    fn selected_servers(&self) -> Result<Vec<Peer>, ServingError> {
        let peers = self
            .peers
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| find_peer(name).ok_or_else(|| ServingError::UnknownPeer { name: name.clone() }));
        self.decoder.iter().map(|_| Ok(OURS)).chain(peers).collect()
    }

    fn has_measurement(&self, measurement: ServingMeasurement) -> bool {
        self.what.contains(&measurement)
    }
}

/// Runs all measurements and prints the report.
pub(crate) fn run(options: &ServingArgs) -> Result<(), BenchError> {
    let servers = options.selected_servers()?;
    let work_folder = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
    let runtime = load::single_thread_runtime()?;
    let context = ServingContext { options, work_folder: work_folder.path(), runtime: &runtime };
    let mut report = ServingReport::default();
    for &model in &options.models {
        model.write_files(&work_folder.path().join("models"))?;
        measure_model(model, &servers, &context, &mut report)?;
    }
    report.print(options.json)
}

fn measure_model(
    model: Model,
    servers: &[Peer],
    context: &ServingContext<'_>,
    report: &mut ServingReport,
) -> Result<(), BenchError> {
    let mut bare_loop = BareLoop::new(model, context.options.threads.get())?;
    let expected = bare_loop.run()?;
    let mut running = Vec::with_capacity(servers.len());
    for &peer in servers {
        eprintln!("bench: {}: starting {}", model.name(), peer.name);
        running.push(RunningServer::start(peer, model, &expected, context)?);
    }
    if context.options.has_measurement(ServingMeasurement::Speed) {
        eprintln!("bench: {}: measuring speed", model.name());
        report.add_speeds(model, speed::measure_speeds(&running, model, &mut bare_loop, context)?);
    }
    // These measurements include only servers with the protocol of cloud-decoder.
    let comparable: Vec<&RunningServer> =
        running.iter().filter(|server| server.peer.protocol == OURS.protocol).collect();
    if context.options.has_measurement(ServingMeasurement::Tail) {
        eprintln!("bench: {}: measuring at 70 % of the peak", model.name());
        report.tails.extend(strain::measure_tails(&comparable, model, context)?);
    }
    for server in comparable {
        // Five times the peak of the tiny model exceeds the rate that the client can send.
        if context.options.has_measurement(ServingMeasurement::Overload) && model == Model::Decoder {
            eprintln!("bench: {}: measuring {} at five times its peak", model.name(), server.peer.name);
            report.overloads.push(strain::measure_overload(server, model, context)?);
        }
        if context.options.has_measurement(ServingMeasurement::Soak) && model == Model::Tiny {
            eprintln!("bench: {}: soak test of {}", model.name(), server.peer.name);
            report.soaks.push(strain::measure_soak(server, model, context)?);
        }
        if server.peer.name != OURS.name {
            continue;
        }
        if context.options.has_measurement(ServingMeasurement::Compression) {
            eprintln!("bench: {}: measuring clients with and without compression", model.name());
            report.compressions.extend(compression::measure_compression(server, model, context)?);
        }
        if context.options.has_measurement(ServingMeasurement::Shared) && model == Model::Decoder {
            eprintln!("bench: {}: measuring small calls beside a large answer", model.name());
            report.shared.push(shared_connection::measure_shared_connection(server, model, context)?);
        }
        if context.options.has_measurement(ServingMeasurement::Abuse) {
            for &kind in Abuse::value_variants() {
                eprintln!("bench: {}: measuring under abuse: {kind:?}", model.name());
                report.abuses.push(abuse::measure_abuse(server, kind, context)?);
            }
        }
    }
    Ok(())
}

fn find_peer(name: &str) -> Option<Peer> {
    PEERS.into_iter().chain([OURS_ON_CPU]).find(|peer| peer.name == name)
}
