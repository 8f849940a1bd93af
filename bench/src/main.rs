//! Speed, as ratios to named peers measured in the same run, and the figures for every row of the theory
//! table. `cargo xtask bench` builds and starts this program.

mod agent;
mod budget;
mod cloud;
mod coder;
mod error;
mod gemm;
mod ingest;
mod input;
mod median;
mod photo;
mod proc;
mod program;
mod scratch;
mod serving;
mod spool;
mod table;
mod theory;
mod uplink;

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use agent::AgentArgs;
use budget::BudgetArgs;
use error::BenchError;
use ingest::IngestArgs;
use serving::ServingArgs;
use spool::SpoolArgs;
use theory::TheoryArgs;
use uplink::UplinkArgs;

/// Measure speed as ratios to named peers in the same run, and the figures of the theory table with their
/// baselines.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo xtask bench photo
  cargo xtask bench coder --picture photograph.png --runs 9 --json
  cargo xtask bench theory
  cargo xtask bench theory --rows shuttle,ecg --again
  cargo xtask bench serving --peers triton,mosec --models tiny
  cargo xtask bench serving --what soak --peers triton --json
  cargo xtask bench spool --folder /var/tmp/spool --runs 3
  cargo xtask bench ingest --devices 1,100 --list 0 --postgres postgres://lopside@localhost/bench
  cargo xtask bench uplink --folder /var/tmp/uplink --kilobits 256 --delay-ms 150
  cargo xtask bench budget --budget 128 --attacks unfinished-messages,gzip-bombs
  cargo xtask bench agent --seconds 60 --quality 30")]
struct Cli {
    #[command(subcommand)]
    bench: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Measure CPU time per megapixel at the edge: preprocessing, encoder and coder, compared with
    /// libjpeg-turbo and libwebp
    Photo(CodecArgs),
    /// Measure the entropy coder alone: nanoseconds per pixel and symbols per second, encoding and decoding
    Coder(CodecArgs),
    /// Train and measure every row of the theory table: figures and log to training/theory, the table to
    /// training/README.md
    Theory(TheoryArgs),
    /// Compare cloud-decoder with other model servers: CPU time per request, requests per second, latency,
    /// overload, memory
    Serving(ServingArgs),
    /// Compare the spool, the durable queue of a device, with SQLite and redb: records per second, bytes
    /// written to disk, a backlog of 1 GiB
    Spool(SpoolArgs),
    /// Measure the frames per second that cloud-decoder commits to SQLite and PostgreSQL from many devices,
    /// and the response time of its lists
    Ingest(IngestArgs),
    /// Measure edge-encoder and cloud-decoder over a slow link: recovery, link utilisation, latency of
    /// important frames, bytes, memory
    Uplink(UplinkArgs),
    /// Measure the CPU time of the whole agent per image of a 720p stream at 5 images per second, normal and fast,
    /// compared with ffmpeg that writes MJPEG
    Agent(AgentArgs),
    /// Attack cloud-decoder with a memory budget: peak memory, CPU time, and the success of healthy calls, per
    /// attack
    Budget(BudgetArgs),
}

/// The inputs of a bench and the number of repetitions.
#[derive(Debug, Args)]
struct CodecArgs {
    /// Photo bundle
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    bundle: PathBuf,
    /// Image to encode
    #[arg(long, default_value = "samples/photo/tulips.png", value_name = "FILE")]
    picture: PathBuf,
    /// Number of repetitions of each measurement; the median is printed
    #[arg(long, default_value = "9", value_name = "N")]
    runs: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().bench {
        BenchCommand::Photo(options) => photo::run(&options),
        BenchCommand::Coder(options) => coder::run(&options),
        BenchCommand::Theory(options) => theory::run(&options),
        BenchCommand::Serving(options) => serving::run(&options),
        BenchCommand::Spool(options) => spool::run(&options),
        BenchCommand::Ingest(options) => ingest::run(&options),
        BenchCommand::Uplink(options) => uplink::run(&options),
        BenchCommand::Agent(options) => agent::run(&options),
        BenchCommand::Budget(options) => budget::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
