//! A running `edge-encoder run`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use edge_encoder::agent::{AgentReport, ClassReport, request_status};
use lopside_delivery::Class;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    BenchError,
    error::{ProgramError, io_error},
    proc::read_field,
    program::program_path,
};

/// The bundle that encodes, and the image that is encoded.
const BUNDLE: &str = "bundles/fashion";
const IMAGE: &str = "samples/fashion/00-ankle-boot.png";
/// Interval at which the status is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Maximum time for any step.
const STEP_TIMEOUT: Duration = Duration::from_mins(5);

/// The folder and settings of an agent.
pub(super) struct AgentHome {
    folder: PathBuf,
    device: String,
    endpoint: String,
    spool_megabytes: u64,
}

/// A running agent; killed when dropped.
pub(super) struct Agent {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    /// The time at which the process was started.
    pub(super) started: Instant,
}

impl AgentHome {
    /// Creates the folder of a device, which is named after it.
    pub(super) fn new(
        folder: &Path,
        device: &str,
        endpoint: String,
        spool_megabytes: u64,
    ) -> Result<Self, BenchError> {
        let home = Self { folder: folder.join(device), device: device.to_owned(), endpoint, spool_megabytes };
        let inbox = home.inbox_folder();
        fs::create_dir_all(&inbox).map_err(io_error(&inbox))?;
        Ok(home)
    }

    pub(super) fn spool_folder(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Returns the maximum size of the spool, in bytes.
    pub(super) fn spool_budget(&self) -> u64 {
        self.spool_megabytes * 1_000_000
    }

    /// Puts an image into the watched folder atomically; its frame belongs to the class `high`.
    pub(super) fn put_image(&self) -> Result<(), BenchError> {
        let (part, target) = (self.folder.join("part"), self.inbox_folder().join("picture.png"));
        fs::copy(IMAGE, &part).map_err(io_error(&part))?;
        fs::rename(part, &target).map_err(io_error(&target))
    }

    pub(super) fn start(&self) -> Result<Agent, BenchError> {
        let (config, log) = (self.folder.join("edge.toml"), self.folder.join("edge-encoder.log"));
        let socket = self.folder.join("edge.sock");
        fs::write(&config, self.config_text(&socket)?).map_err(io_error(&config))?;
        let file = fs::File::create(&log).map_err(io_error(&log))?;
        let mut command = Command::new(program_path("LOPSIDE_EDGE_ENCODER")?);
        command.args(["run", "--config"]).arg(config).env("RUST_LOG", "warn");
        let started = Instant::now();
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|source| ProgramError::Start { program: "edge-encoder", source })?;
        Ok(Agent { child, socket, log, started })
    }

    fn inbox_folder(&self) -> PathBuf {
        self.folder.join("inbox")
    }

    fn config_text(&self, socket: &Path) -> Result<String, BenchError> {
        let bundle = fs::canonicalize(BUNDLE).map_err(io_error(Path::new(BUNDLE)))?;
        let [bundle, spool, inbox, socket] =
            [bundle, self.spool_folder(), self.inbox_folder(), socket.to_owned()]
                .map(|path| path.display().to_string());
        let Self { device, endpoint, spool_megabytes, .. } = self;
        Ok(format!(
            "bundle = {bundle:?}\nendpoint = {endpoint:?}\ndevice = {device:?}\nsocket = {socket:?}\n\
             [spool]\nfolder = {spool:?}\nmegabytes = {spool_megabytes}\n\
             [uplink]\nlongest_pause_seconds = 1\n\
             [[source]]\nfolder = {inbox:?}\nafter = 'delete'\nclass = 'high'\n"
        ))
    }
}

impl Agent {
    /// Waits for a status report for which `is_met` returns true, and returns it.
    pub(super) async fn wait_until(
        &mut self,
        condition: &str,
        is_met: impl Fn(&AgentReport) -> bool,
    ) -> Result<AgentReport, BenchError> {
        let (deadline, mut ticks) = (Instant::now() + STEP_TIMEOUT, interval(POLL_INTERVAL));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let result = request_status(&self.socket);
            match result {
                Ok(report) if is_met(&report) => return Ok(report),
                Ok(report) if Instant::now() > deadline => {
                    let (condition, status) = (condition.to_owned(), report.to_text());
                    return Err(ProgramError::Timeout { condition, status }.into());
                }
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                _ => self.check_alive()?,
            }
        }
    }

    /// Returns the agent's status report.
    pub(super) fn report(&self) -> Result<AgentReport, BenchError> {
        Ok(request_status(&self.socket)?)
    }

    /// Returns the agent's resident memory in bytes.
    pub(super) fn resident_bytes(&self) -> Result<f64, BenchError> {
        read_field(&format!("/proc/{}/status", self.child.id()), "VmRSS:").map(|kib| 1024.0 * kib)
    }

    fn check_alive(&mut self) -> Result<(), ProgramError> {
        let program = "the agent";
        let status = self.child.try_wait().map_err(|source| ProgramError::State { program, source })?;
        let Some(status) = status else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Err(ProgramError::Ended { program, circumstance: format!("unexpectedly with {status}"), log })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the frame counts of a class in a report.
pub(super) fn class_counts(report: &AgentReport, class: Class) -> ClassCounts {
    let found = report.spool.classes.iter().find(|found| found.class == class.name());
    found.map_or(ClassCounts::default(), |&ClassReport { delivered, pending, .. }| ClassCounts {
        delivered,
        pending,
    })
}

/// Frame counts of a class.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClassCounts {
    pub(super) delivered: u64,
    pub(super) pending: u64,
}
