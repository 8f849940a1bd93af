//! The agent's side: starts the child, and waits for its end.

use std::{env, io, path::Path, process::Stdio};

use lopside_encoder::EncodeOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, copy, sink},
    process::{Child, Command},
    time::timeout,
};

use super::{
    answer::TrialFigures,
    ended::{EndedTrial, timed_out},
    limits::TrialLimits,
};
use crate::UpdateError;

/// Maximum number of bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 16 << 10;
/// Number of bytes of the child's messages that are kept.
const MAX_MESSAGE_BYTES: u64 = 4 << 10;

/// Tries the bundle of a folder in another process, which is killed if it takes too long or if the future is
/// dropped.
///
/// # Errors
/// The reason why the bundle is refused; [`UpdateError::DamagedFiles`] and [`UpdateError::TrialNotRun`] do not concern
/// the bundle itself.
pub(crate) async fn run_trial(
    folder: &Path,
    options: &EncodeOptions,
    limits: &TrialLimits,
) -> Result<TrialFigures, UpdateError> {
    let mut child = start(folder, options, limits).map_err(|error| not_run("started", &error))?;
    if let Ok(ended) = timeout(limits.time, wait_for_end(&mut child)).await {
        return ended.map_err(|error| not_run("observed", &error))?.judge(limits);
    }
    // Also waits until it is gone.
    child.kill().await.map_err(|error| not_run("ended", &error))?;
    Err(timed_out(limits))
}

fn start(folder: &Path, options: &EncodeOptions, limits: &TrialLimits) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("try-bundle")
        .args(["--memory-bytes", &limits.memory_bytes.to_string()])
        .args(["--seconds", &limits.time.as_secs().to_string()])
        .args(["--threads", &options.image_codec.threads.to_string()]);
    if options.use_fast {
        command.arg("--fast");
    }
    command.arg("--").arg(folder);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn()
}

async fn wait_for_end(child: &mut Child) -> io::Result<EndedTrial> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::try_join!(
        read_beginning(stdout, MAX_ANSWER_BYTES),
        read_beginning(stderr, MAX_MESSAGE_BYTES),
        child.wait()
    )?;
    Ok(EndedTrial { status, stdout, stderr })
}

/// Reads a stream to its end, and returns its first bytes.
async fn read_beginning(stream: Option<impl AsyncRead + Unpin>, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(max_bytes).read_to_end(&mut beginning).await?;
        // A child that writes more must not wait for a reader.
        copy(&mut stream, &mut sink()).await?;
    }
    Ok(beginning)
}

fn not_run(step: &str, error: &io::Error) -> UpdateError {
    UpdateError::TrialNotRun(format!("its process cannot be {step}: {error}"))
}
