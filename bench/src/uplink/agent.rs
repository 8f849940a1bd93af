//! A running `edge-encoder run`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use edge_encoder::agent::{ClassReport, Report, ask};
use lopside_spool::Class;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    BenchError,
    error::{failed, io},
    proc::field,
    program::program,
};

/// The bundle that encodes, and the image that is encoded.
const BUNDLE: &str = "bundles/fashion";
const PICTURE: &str = "samples/fashion/00-ankle-boot.png";
/// Interval at which the status is polled.
const TICK: Duration = Duration::from_millis(5);
/// Maximum time for any step.
const LONGEST: Duration = Duration::from_mins(5);

/// The folder and settings of an agent.
pub(super) struct Home {
    folder: PathBuf,
    device: String,
    endpoint: String,
    megabytes: u64,
}

/// A running agent; killed when dropped.
pub(super) struct Agent {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    /// The time at which the process was started.
    pub(super) started: Instant,
}

impl Home {
    /// Creates the folder of a device, which is named after it.
    pub(super) fn new(
        folder: &Path,
        device: &str,
        endpoint: String,
        megabytes: u64,
    ) -> Result<Self, BenchError> {
        let home = Self { folder: folder.join(device), device: device.to_owned(), endpoint, megabytes };
        let inbox = home.inbox();
        fs::create_dir_all(&inbox).map_err(io(&inbox))?;
        Ok(home)
    }

    pub(super) fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Returns the maximum size of the spool, in bytes.
    pub(super) fn budget(&self) -> u64 {
        self.megabytes * 1_000_000
    }

    /// Puts an image into the watched folder atomically; its frame belongs to the class `high`.
    pub(super) fn put(&self) -> Result<(), BenchError> {
        let (part, whole) = (self.folder.join("part"), self.inbox().join("picture.png"));
        fs::copy(PICTURE, &part).map_err(io(&part))?;
        fs::rename(part, &whole).map_err(io(&whole))
    }

    pub(super) fn start(&self) -> Result<Agent, BenchError> {
        let (config, log) = (self.folder.join("edge.toml"), self.folder.join("edge-encoder.log"));
        let socket = self.folder.join("edge.sock");
        fs::write(&config, self.config(&socket)?).map_err(io(&config))?;
        let file = fs::File::create(&log).map_err(io(&log))?;
        let mut command = Command::new(program("LOPSIDE_EDGE_ENCODER")?);
        command.args(["run", "--config"]).arg(config).env("RUST_LOG", "warn");
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().map_err(failed)?;
        Ok(Agent { child, socket, log, started })
    }

    fn inbox(&self) -> PathBuf {
        self.folder.join("inbox")
    }

    fn config(&self, socket: &Path) -> Result<String, BenchError> {
        let bundle = fs::canonicalize(BUNDLE).map_err(io(Path::new(BUNDLE)))?;
        let [bundle, spool, inbox, socket] =
            [bundle, self.spool(), self.inbox(), socket.to_owned()].map(|path| path.display().to_string());
        let Self { device, endpoint, megabytes, .. } = self;
        Ok(format!(
            "bundle = {bundle:?}\nendpoint = {endpoint:?}\ndevice = {device:?}\nsocket = {socket:?}\n\
             [spool]\nfolder = {spool:?}\nmegabytes = {megabytes}\n\
             [uplink]\nlongest_pause_seconds = 1\n\
             [[source]]\nfolder = {inbox:?}\nafter = 'delete'\nclass = 'high'\n"
        ))
    }
}

impl Agent {
    /// Waits for a status report that satisfies `wanted`, and returns it.
    pub(super) async fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&Report) -> bool,
    ) -> Result<Report, BenchError> {
        let (end, mut ticks) = (Instant::now() + LONGEST, interval(TICK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let last = ask(&self.socket);
            match last {
                Ok(report) if wanted(&report) => return Ok(report),
                Ok(report) if Instant::now() > end => {
                    return Err(failed(format!(
                        "timeout while waiting for: {what}; the agent's status:\n{}",
                        report.text()
                    )));
                }
                Err(error) if Instant::now() > end => return Err(error.into()),
                _ => self.lives()?,
            }
        }
    }

    /// Returns the agent's status report.
    pub(super) fn report(&self) -> Result<Report, BenchError> {
        Ok(ask(&self.socket)?)
    }

    /// Returns the agent's resident memory in bytes.
    pub(super) fn resident(&self) -> Result<f64, BenchError> {
        field(&format!("/proc/{}/status", self.child.id()), "VmRSS:").map(|kib| 1024.0 * kib)
    }

    fn lives(&mut self) -> Result<(), BenchError> {
        let Some(status) = self.child.try_wait().map_err(failed)? else { return Ok(()) };
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        Err(failed(format!("the agent ended unexpectedly with {status}; its log: {said}")))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the frame counts of a class in a report.
pub(super) fn counted(report: &Report, class: Class) -> Counted {
    let found = report.spool.classes.iter().find(|found| found.class == class.name());
    found.map_or(Counted::default(), |&ClassReport { delivered, pending, .. }| Counted { delivered, pending })
}

/// Frame counts of a class.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) delivered: u64,
    pub(super) pending: u64,
}
