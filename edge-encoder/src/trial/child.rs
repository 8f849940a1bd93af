//! The child: the process that tries the bundle.

use std::{fs, io, path::Path, time::Instant};

use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use lopside_encoder::{EncodeError, EncodeOptions, golden};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

use super::{
    answer::{TrialAnswer, TrialFigures},
    limits::TrialLimits,
};
use crate::{EdgeError, UpdateError, process_memory};

/// Maximum number of open files: the standard streams, the runtime's own, and one file of the bundle at a time.
const MAX_OPEN_FILES: u64 = 32;
/// Address space that the C library reserves for each further thread: its stack and its heap.
const THREAD_BYTES: u64 = 144 << 20;

/// A bundle to try in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrialTask<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) options: EncodeOptions,
    pub(crate) limits: TrialLimits,
}

/// Limits this process, and then tries the bundle.
///
/// # Errors
/// [`UpdateError::TrialNotRun`] if the limits cannot be set; the bundle was not opened then.
pub(crate) fn answer_here(task: &TrialTask<'_>) -> Result<TrialAnswer, EdgeError> {
    limit_process(task).map_err(|error| not_run(format!("its limits cannot be set: {error}")))?;
    let start = Instant::now();
    if let Err(error) = try_bundle(task.folder, &task.options) {
        return Ok(TrialAnswer::from_error(&error));
    }
    let elapsed_ms = start.elapsed().as_secs_f64() * 1e3;
    let peak_memory_bytes =
        process_memory::peak_resident_bytes().ok_or_else(|| not_run("its memory is unknown".to_owned()))?;
    Ok(TrialAnswer::Passed(TrialFigures { elapsed_ms, peak_memory_bytes }))
}

fn try_bundle(folder: &Path, options: &EncodeOptions) -> Result<(), EncodeError> {
    let bundle = AnyBundle::load(folder, BundlePart::Encoder)?;
    golden::load_verified(folder, &bundle, options).map(drop)
}

fn limit_process(task: &TrialTask<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the whole machine runs out of memory, this process is the one to end. Without the file it is not.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let TrialLimits { memory_bytes, time } = task.limits;
    let further_threads = (task.options.image_codec.threads as u64).saturating_sub(1);
    let own_bytes = process_memory::address_space_bytes()
        .ok_or_else(|| io::Error::other("the system does not report the size of a process"))?;
    let address_space =
        own_bytes.saturating_add(memory_bytes).saturating_add(further_threads.saturating_mul(THREAD_BYTES));
    // Rounded up, so that it is the time that normally ends the trial.
    let processor_seconds = time.as_secs().saturating_add(1).saturating_mul(further_threads + 1);
    limit(Resource::As, address_space, address_space)?;
    // At the first limit the process gets a signal that names the reason.
    limit(Resource::Cpu, processor_seconds, processor_seconds.saturating_add(1))?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES)
}

/// Sets a limit for good. A lower one that the process was started with stays.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let given = getrlimit(resource).maximum;
    let [current, maximum] =
        [current, maximum].map(|value| Some(given.map_or(value, |given| given.min(value))));
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

fn not_run(reason: String) -> EdgeError {
    UpdateError::TrialNotRun(reason).into()
}
