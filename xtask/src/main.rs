//! `cargo xtask`: the commands of the README and the steps of CI.

mod datasets;
mod demo;
mod dist;
mod ffmpeg;
mod fuzz;
mod inputs;
mod models;
mod outage;
mod postgres;
mod processes;
mod python;
mod readme;
mod runtime;
mod test;
mod wheels;
mod workspace;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// The benches that start other binaries, which are built as well.
const PROGRAM_BENCHES: [&str; 5] = ["serving", "ingest", "uplink", "budget", "agent"];

/// A result whose error is a message for people.
type Result<T> = std::result::Result<T, String>;

/// Run the commands of the README and the steps of CI
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send the sample images from edge-encoder to cloud-decoder, and write tables and contact sheets
    Demo {
        /// Folder for the reconstructions, contact-sheet.png, photo.png, table.txt and report.json
        #[arg(long, default_value = "out/demo", value_name = "DIR")]
        out: PathBuf,
        /// Print the report and the comparison as JSON instead of tables
        #[arg(long)]
        json: bool,
        /// Folder of binaries to run [default: build them]
        #[arg(long, value_name = "DIR")]
        binaries: Option<PathBuf>,
    },
    /// Run every test, including those that start the binaries
    Test {
        /// Fail, instead of skipping tests, if the tools that they need cannot be installed
        #[arg(long)]
        strict: bool,
        /// Arguments for `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Print the path of the ONNX Runtime library; it is downloaded into the cache if it is missing
    Runtime,
    /// Print the folder of the third-party models that the tests split; they are downloaded into the cache if they are
    /// missing
    Models,
    /// Run the tests that need PyTorch; it is installed into the cache (about 5 GB) if it is missing
    Pytorch,
    /// Run the commands of the README
    Readme,
    /// Run many more random crash schedules on the spool than its tests do
    Crash {
        /// Number of schedules
        #[arg(long, default_value = "1000000", value_name = "N")]
        schedules: u32,
    },
    /// Kill agent and server and cut the link between them at random, for longer than the tests do
    Outage {
        /// Duration in minutes
        #[arg(long, default_value = "30", value_name = "N")]
        minutes: u32,
    },
    /// Encode what ffmpeg, an RTSP stream and a growing CSV file deliver, each for longer than the tests do, and account for every
    /// input
    Inputs {
        /// Duration of each run in minutes
        #[arg(long, default_value = "10", value_name = "N")]
        minutes: u32,
    },
    /// Fuzz everything that reads bytes from outside; needs a C++ compiler
    Fuzz {
        /// Duration per target in seconds
        #[arg(long, default_value = "60", value_name = "N")]
        seconds: u32,
        /// Number of targets that run at the same time [default: the number of processors]
        #[arg(long, value_name = "N")]
        jobs: Option<usize>,
        /// Names of the targets, the files in `fuzz/fuzz_targets` [default: all]
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Measure speed, as ratios to named peers in the same run
    Bench {
        /// Name of the bench, followed by its options: `photo`, `coder`, `theory`, `serving`, `spool`, `ingest`, `uplink`,
        /// `budget`, `agent`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, default_value = "--help")]
        args: Vec<String>,
    },
    /// Build a small binary and the Debian package of edge-encoder in dist/
    Dist {
        /// Target triple, for example aarch64-unknown-linux-gnu [default: this machine]
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    let result = processes::catch_interrupts().and_then(|()| match Cli::parse().command {
        Command::Demo { out, json, binaries } => demo::run(&out, json, binaries),
        Command::Test { strict, args } => test::run(strict, &args),
        Command::Runtime => runtime::library().map(|path| println!("{}", path.display())),
        Command::Models => models::folder().map(|path| println!("{}", path.display())),
        Command::Pytorch => models::pytorch(),
        Command::Readme => readme::run(),
        Command::Crash { schedules } => crash(schedules),
        Command::Outage { minutes } => outage_test(minutes),
        Command::Inputs { minutes } => inputs::run(minutes),
        Command::Fuzz { seconds, jobs, targets } => fuzz::run(&targets, seconds, jobs),
        Command::Bench { args } => bench(&args),
        Command::Dist { target } => dist::run(target.as_deref()),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if processes::interrupted() => ExitCode::from(130),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a number of random crash schedules on the spool.
fn crash(schedules: u32) -> Result<()> {
    let args = ["test", "--release", "-p", "lopside-spool", "--lib", "no_committed_record_is_lost"];
    workspace::cargo(&args, &[("LOPSIDE_CRASH_SCHEDULES", Path::new(&schedules.to_string()))])
}

/// Runs the end-to-end outage test for a number of minutes.
fn outage_test(minutes: u32) -> Result<()> {
    let library = runtime::library()?;
    workspace::build_binaries(&["edge-encoder", "cloud-decoder"])?;
    let seconds = (60 * u64::from(minutes)).to_string();
    let args = [
        "test",
        "--release",
        "--workspace",
        "--test",
        "it",
        "--",
        "outage::random_events::every_frame_is_archived_exactly_once",
        "--nocapture",
    ];
    workspace::cargo(&args, &[("ORT_DYLIB_PATH", &*library), ("LOPSIDE_OUTAGE_SECONDS", Path::new(&seconds))])
}

/// Builds and runs a bench. Most of those that start other binaries need nothing else; `agent` also needs ffmpeg.
fn bench(args: &[String]) -> Result<()> {
    let cargo_args = ["run", "--release", "--bin", "lopside-bench", "--"];
    let cargo_args = [&cargo_args, &args.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    if args.first().is_none_or(|bench| !PROGRAM_BENCHES.contains(&&bench[..])) {
        return workspace::cargo(&cargo_args, &[]);
    }
    workspace::build_binaries(&["cloud-decoder", "edge-encoder"])?;
    let [decoder, encoder] =
        ["cloud-decoder", "edge-encoder"].map(|name| workspace::target().join("release").join(name));
    let (library, cache) = (runtime::library()?, lopside_python::cache_folder()?);
    let mut env = vec![
        ("LOPSIDE_CLOUD_DECODER", &*decoder),
        ("LOPSIDE_EDGE_ENCODER", &*encoder),
        ("ORT_DYLIB_PATH", &*library),
        ("LOPSIDE_CACHE", &*cache),
    ];
    let ffmpeg = args.first().filter(|bench| *bench == "agent").map(|_| ffmpeg::program()).transpose()?;
    env.extend(ffmpeg.as_deref().map(|ffmpeg| ("LOPSIDE_FFMPEG", ffmpeg)));
    workspace::cargo(&cargo_args, &env)
}
