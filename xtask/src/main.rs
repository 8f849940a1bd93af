//! `cargo xtask`: the commands of the README and the steps of CI.

mod demo;
mod dist;
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

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

/// The commands of the README and the steps of CI.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send the sample pictures through the whole path: edge-encoder → cloud-decoder → tables and sheets
    Demo {
        /// Where the reconstructions, contact-sheet.png, photo.png, table.txt and report.json go
        #[arg(long, default_value = "out/demo", value_name = "DIR")]
        out: PathBuf,
        /// Print the report and the comparison as JSON instead of tables
        #[arg(long)]
        json: bool,
        /// Run the binaries of this folder instead of building them
        #[arg(long, value_name = "DIR")]
        binaries: Option<PathBuf>,
    },
    /// Run every test, including those that start the binaries
    Test {
        /// Fail, instead of leaving a part out, when the tools of a part cannot be had
        #[arg(long)]
        strict: bool,
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Print the path of the ONNX Runtime library; fetch it into the cache first when it is missing
    Runtime,
    /// Print the folder of other people's models that the tests cut; fetch them into the cache first when missing
    Models,
    /// Run the tests that need PyTorch; install it, about 5 GB, into the cache first when it is missing
    Pytorch,
    /// Run the README's commands
    Readme,
    /// Try schedules with crashes on the spool, many more than its tests do
    Crash {
        /// How many
        #[arg(long, default_value = "1000000", value_name = "N")]
        schedules: u32,
    },
    /// Kill both ends and cut the link between them at random, for longer than the tests do
    Outage {
        /// For how long
        #[arg(long, default_value = "30", value_name = "N")]
        minutes: u32,
    },
    /// Measure speed, as ratios to named peers in the same run
    Bench {
        /// Which bench, and its options: `photo`, `coder`, `theory`, `serving`, `spool`, `ingest`, `uplink`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, default_value = "--help")]
        args: Vec<String>,
    },
    /// Make the edge's binary and Debian package, small, in dist/
    Dist {
        /// The machine to build for, as in aarch64-unknown-linux-gnu [default: this one]
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    let done = processes::catch_interrupts().and_then(|()| match Cli::parse().command {
        Command::Demo { out, json, binaries } => demo::run(&out, json, binaries),
        Command::Test { strict, args } => test::run(strict, &args),
        Command::Runtime => runtime::library().map(|path| println!("{}", path.display())),
        Command::Models => models::folder().map(|path| println!("{}", path.display())),
        Command::Pytorch => models::pytorch(),
        Command::Readme => readme::run(),
        Command::Crash { schedules } => crash(schedules),
        Command::Outage { minutes } => outage_test(minutes),
        Command::Bench { args } => bench(&args),
        Command::Dist { target } => dist::run(target.as_deref()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if processes::interrupted() => ExitCode::from(130),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the spool's random schedules, so many.
fn crash(schedules: u32) -> Result<()> {
    let run = ["test", "--release", "-p", "lopside-spool", "--lib", "nothing_committed"];
    workspace::cargo(&run, &[("LOPSIDE_CRASH_SCHEDULES", Path::new(&schedules.to_string()))])
}

/// Runs the test of both ends for so long.
fn outage_test(minutes: u32) -> Result<()> {
    let library = runtime::library()?;
    workspace::build_binaries(&["edge-encoder", "cloud-decoder"])?;
    let seconds = (60 * u64::from(minutes)).to_string();
    let test =
        ["test", "--release", "--workspace", "--test", "it", "--", "outage::run::nothing_is_lost", "--nocapture"];
    workspace::cargo(&test, &[("ORT_DYLIB_PATH", &*library), ("LOPSIDE_OUTAGE_SECONDS", Path::new(&seconds))])
}

/// Builds and runs the benches; `serving`, `ingest` and `uplink` get what they measure as well.
fn bench(args: &[String]) -> Result<()> {
    let run = ["run", "--release", "--bin", "lopside-bench", "--"];
    let run = [&run, &args.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    if args.first().is_none_or(|bench| !["serving", "ingest", "uplink"].contains(&&bench[..])) {
        return workspace::cargo(&run, &[]);
    }
    workspace::build_binaries(&["cloud-decoder", "edge-encoder"])?;
    let [decoder, encoder] =
        ["cloud-decoder", "edge-encoder"].map(|name| workspace::target().join("release").join(name));
    let (library, cache) = (runtime::library()?, lopside_python::cache()?);
    let env = [
        ("LOPSIDE_CLOUD_DECODER", &*decoder),
        ("LOPSIDE_EDGE_ENCODER", &*encoder),
        ("ORT_DYLIB_PATH", &*library),
        ("LOPSIDE_CACHE", &*cache),
    ];
    workspace::cargo(&run, &env)
}
