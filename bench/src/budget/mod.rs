//! `bench budget`: attacks on the memory of a cloud-decoder, next to a healthy client.
//!
//! ```text
//! cloud-decoder serve --max-request-memory ◄── an attack, from threads of its own
//!        │ VmHWM, CPU time                 ◄── healthy calls, one every 20 ms
//! ```
//! Each attack has a server of its own. The peak is the `VmHWM` of `/proc/PID/status`, which is reset
//! (`/proc/PID/clear_refs`) before the attack begins; it must not exceed the memory of the idle server, the budget and
//! a constant together. All healthy calls must succeed. A missed limit is printed as `FAIL`, but does not fail the
//! bench.

mod answers;
mod attack;
mod bodies;
mod calls;
mod healthy;
mod image_frame;
mod key_file;
mod memory;
mod report;
mod uploads;

use std::{
    ffi::OsString,
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    attack::{Attack, AttackTarget},
    healthy::HealthyClient,
    key_file::KeyFile,
    memory::{peak_bytes, reset_peak, resident_bytes},
    report::{AttackReport, print_reports},
};
use crate::{
    BenchError,
    cloud::CloudDecoder,
    error::io_error,
    scratch::scratch_folder,
    serving::{
        load::{OutcomeTally, single_thread_runtime},
        process::ProcessTree,
    },
};

const BYTES_PER_MEGABYTE: f64 = 1e6;
const PIXELS_PER_MEGAPIXEL: u32 = 1_000_000;
/// Memory above the idle server and the budget that no attack may exceed, in megabytes: connections, buffers, and what
/// the allocator keeps.
const ALLOWANCE_MB: f64 = 64.0;
/// Number of connections that the attackers may have.
const MAX_CONNECTIONS_PER_PEER: &str = "2000";
/// Memory of the devices that stay connected, in megabytes.
const IDLE_DEVICES_MB: f64 = 60.0;
/// Largest image that the server accepts, in megapixels.
const MAX_MEGAPIXELS: u32 = 8;
/// Memory of an image that is being decoded, in bytes per pixel; the server holds twice as many pixels as the largest
/// image has.
const IMAGE_BYTES_PER_PIXEL: f64 = 64.0;

/// The command-line options of `bench budget`.
#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// Memory for requests in megabytes, as in --max-request-memory of the server
    #[arg(long, default_value = "256", value_name = "MEGABYTES")]
    budget: NonZeroU32,
    /// Attacks to run
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "upload-messages,many-messages,unfinished-messages,image-frames,gzip-bombs,key-guesses,hellos,idle-devices,\
                         resets"
    )]
    attacks: Vec<Attack>,
    /// Bundle of an image codec, which decodes the frames of large images
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    photo: PathBuf,
    /// Folder on a disk, for the archives
    #[arg(long, default_value = "out/budget", value_name = "DIR")]
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the attacks and prints the report.
pub(crate) fn run(options: &BudgetArgs) -> Result<(), BenchError> {
    let scratch = scratch_folder(&options.folder)?;
    let mut reports = Vec::with_capacity(options.attacks.len());
    for &attack in &options.attacks {
        eprintln!("bench: {attack:?}");
        reports.push(measure_attack(attack, options, scratch.path())?);
    }
    print_reports(&reports, options.json)
}

fn measure_attack(attack: Attack, options: &BudgetArgs, scratch: &Path) -> Result<AttackReport, BenchError> {
    let folder = scratch.join(format!("{attack:?}"));
    fs::create_dir_all(&folder).map_err(io_error(&folder))?;
    let keys = if attack == Attack::KeyGuesses { Some(KeyFile::create(&folder)?) } else { None };
    let archive = format!("sqlite:{}", folder.join("archive.db").display());
    let server = CloudDecoder::start_with(&archive, &folder, &options.server_arguments(keys.as_ref()))?;
    let runtime = single_thread_runtime()?;
    let key = keys.as_ref().map(|keys| keys.key.as_str());
    let healthy = runtime.block_on(HealthyClient::connect(&server.url, key))?;
    runtime.block_on(healthy.warm_up())?;
    let max_pixels = MAX_MEGAPIXELS * PIXELS_PER_MEGAPIXEL;
    let target = AttackTarget::new(&server.url, healthy.channel(), &options.photo, max_pixels)?;
    let figures = runtime.block_on(run_attack(attack, target, &healthy, server.id()))?;
    Ok(figures.report(attack, f64::from(options.budget.get())))
}

/// The figures of an attack, in bytes and seconds.
struct AttackFigures {
    answers: String,
    healthy: OutcomeTally,
    seconds: f64,
    cpu: Duration,
    idle_bytes: f64,
    /// `None` if the server has ended.
    peak_bytes: Option<f64>,
}

/// Runs an attack in a runtime of its own, so that its work does not delay the healthy client. `process` is the id of
/// the server.
async fn run_attack(
    attack: Attack,
    target: AttackTarget,
    healthy: &HealthyClient,
    process: u32,
) -> Result<AttackFigures, BenchError> {
    let idle_bytes = resident_bytes(process)?;
    reset_peak(process)?;
    let tree = ProcessTree::new(process);
    // Nothing below returns early: a runtime must not be dropped here without being shut down.
    let attackers = attack_runtime()?;
    let (cpu_before, start) = (tree.cpu(), Instant::now());
    let (outcome, healthy) = healthy.call_while(attackers.spawn(attack.run(target))).await;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), tree.cpu().saturating_sub(cpu_before));
    attackers.shutdown_background();
    let peak_bytes = peak_bytes(process).ok();
    Ok(AttackFigures { answers: describe_outcome(outcome), healthy, seconds, cpu, idle_bytes, peak_bytes })
}

impl AttackFigures {
    fn report(mut self, attack: Attack, budget_mb: f64) -> AttackReport {
        AttackReport {
            attack,
            answers: self.answers,
            seconds: self.seconds,
            cpu_seconds: self.cpu.as_secs_f64(),
            idle_mb: self.idle_bytes / BYTES_PER_MEGABYTE,
            // Devices that send nothing need none of it.
            budget_mb: if attack == Attack::IdleDevices { 0.0 } else { budget_mb },
            constant_mb: attack_constant_mb(attack),
            peak_mb: self.peak_bytes.map(|bytes| bytes / BYTES_PER_MEGABYTE),
            healthy_calls: self.healthy.answered(),
            healthy_failures: self.healthy.failed + self.healthy.rejected + self.healthy.late,
            healthy_p99_ms: self.healthy.latency_quantile(0.99),
            first_failure: self.healthy.first_failure,
        }
    }
}

/// Returns the memory that an attack may take in addition to the idle server and the budget, in megabytes. Images have
/// a budget of their own.
fn attack_constant_mb(attack: Attack) -> f64 {
    match attack {
        Attack::ImageFrames => ALLOWANCE_MB + 2.0 * f64::from(MAX_MEGAPIXELS) * IMAGE_BYTES_PER_PIXEL,
        Attack::IdleDevices => IDLE_DEVICES_MB,
        _ => ALLOWANCE_MB,
    }
}

/// Returns the answers to the attack, or the reason why it ended: a server may close the connections of an attacker.
fn describe_outcome(outcome: Result<Result<String, BenchError>, tokio::task::JoinError>) -> String {
    match outcome {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => format!("ended by {error}"),
        Err(error) => format!("failed: {error}"),
    }
}

/// Creates the runtime of an attack.
fn attack_runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().map_err(|source| BenchError::AsyncRuntime { source })
}

impl BudgetArgs {
    /// Returns the arguments of the server, in addition to those of every bench.
    fn server_arguments(&self, keys: Option<&KeyFile>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "--max-request-memory".into(),
            self.budget.to_string().into(),
            "--max-megapixels".into(),
            MAX_MEGAPIXELS.to_string().into(),
            "--drain-seconds".into(),
            "1".into(),
            // All devices have one address.
            "--max-connections-per-peer".into(),
            MAX_CONNECTIONS_PER_PEER.into(),
            "--bundle".into(),
            self.photo.clone().into(),
        ];
        if let Some(keys) = keys {
            arguments.push("--api-keys".into());
            arguments.push(keys.path.clone().into());
        }
        arguments
    }
}
