use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::failed;
use crate::{BenchError, error::io};

/// What is served besides: an archive wants no bundle, a server does.
const BUNDLE: &str = "bundles/fashion";

/// A cloud-decoder with an archive; stopped when dropped.
pub(super) struct Cloud {
    child: Child,
    pub(super) url: String,
}

impl Cloud {
    /// Starts one with this archive, without scores; its log goes into the folder.
    pub(super) fn start(archive: &str, folder: &Path) -> Result<Self, BenchError> {
        let binary = env::var_os("LOPSIDE_CLOUD_DECODER").ok_or_else(|| {
            failed("LOPSIDE_CLOUD_DECODER is not set: start it as `cargo xtask bench ingest`")
        })?;
        let log = folder.join("cloud-decoder.log");
        let log = fs::File::create(&log).map_err(io(&log))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--device", "cpu", "--listen", "127.0.0.1:0", "--bundle", BUNDLE]);
        command.args(["--archive-scores=false", "--archive", archive]).env("RUST_LOG", "warn");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().map_err(failed)?;
        let stdout = child.stdout.take().ok_or_else(|| failed("cloud-decoder has no stdout"))?;
        let mut cloud = Self { child, url: String::new() };
        BufReader::new(stdout).read_line(&mut cloud.url).map_err(failed)?;
        cloud.url.truncate(cloud.url.trim_end().len());
        if cloud.url.is_empty() {
            return Err(failed("cloud-decoder did not start; its log is in the folder of --folder"));
        }
        Ok(cloud)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
