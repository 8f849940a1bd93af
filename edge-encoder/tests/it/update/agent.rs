//! A process of `edge-encoder run`, and the contents of its spool.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use edge_encoder::agent::{AgentReport, UpdateReport, request_status};
use lopside_delivery::Class;
use lopside_latent::{LatentSpaceId, peek_latent_space};
use lopside_spool::{Disk, Options, Spool};
use lopside_uplink::CapturedFrame;
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{interval, timeout};

use super::bundles::pixel_image;

/// Time limit of every wait; the test fails after it.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// The environment of an agent: its folder, and the address of its cloud.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    url: String,
    image_count: usize,
    /// Further keys of the table `spool`.
    spool_keys: String,
    /// Further keys of the table `update`.
    update_keys: String,
    /// Further tables of the config file.
    tables: String,
    variables: Vec<(String, String)>,
}

/// A running agent, which is killed when it is dropped.
pub(crate) struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Home {
    /// Creates the folder of an agent whose channel has this address.
    pub(crate) fn new(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inbox")).unwrap();
        let home = Self {
            folder,
            url: url.to_owned(),
            image_count: 0,
            spool_keys: String::new(),
            update_keys: String::new(),
            tables: String::new(),
            variables: Vec::new(),
        };
        home.set_machine("a");
        home
    }

    /// Moves the files of the agent to another machine, whose id consists of one hexadecimal digit.
    pub(crate) fn set_machine(&self, digit: &str) {
        fs::write(self.path("machine-id"), format!("{}\n", digit.repeat(32))).unwrap();
    }

    /// Sets further keys of the table `spool` of the config file.
    pub(crate) fn set_spool_keys(&mut self, keys: &str) {
        keys.clone_into(&mut self.spool_keys);
    }

    /// Adds keys to the table `update` of the config file.
    pub(crate) fn add_update_keys(&mut self, keys: &str) {
        self.update_keys += keys;
    }

    /// Adds tables to the end of the config file.
    pub(crate) fn add_tables(&mut self, tables: &str) {
        self.tables += tables;
    }

    /// Sets a variable in the environment of the agent.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Moves a complete image into the inbox.
    pub(crate) fn put(&mut self, pixels: [u8; 4]) {
        let part = self.path("picture.png");
        pixel_image(pixels).save(&part).unwrap();
        fs::rename(part, self.path("inbox").join(format!("{:06}.png", self.image_count))).unwrap();
        self.image_count += 1;
    }

    /// Returns the number of images that were put into the inbox.
    pub(crate) fn count(&self) -> usize {
        self.image_count
    }

    /// Starts an agent with this configured bundle.
    pub(crate) fn start(&self, bundle: &Path) -> Agent {
        self.start_logging(bundle, Stdio::inherit())
    }

    /// Starts an agent with this configured bundle, whose log goes to `log`.
    pub(crate) fn start_logging(&self, bundle: &Path, log: impl Into<Stdio>) -> Agent {
        let child = self.command("run", bundle).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Agent { child, socket: self.path("edge.sock") }
    }

    /// Runs an agent that does not start, and returns its error.
    pub(crate) fn refused(&self, bundle: &Path, args: &[&str]) -> String {
        let output = self.command("run", bundle).args(args).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Returns the names of all files of the spool.
    pub(crate) fn spool_files(&self) -> BTreeSet<OsString> {
        fs::read_dir(self.path("spool")).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    /// Waits until the state of the spool on disk has this cursor.
    pub(crate) async fn until_settled(&self, cursor: u64) {
        let copy = tempfile::tempdir().unwrap();
        let polling = timeout(WAIT_TIMEOUT, async {
            let mut ticks = interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                fs::copy(self.path("spool/state"), copy.path().join("state")).unwrap();
                let disk = Disk::open(copy.path()).unwrap();
                let spool = Spool::open(disk, Options::new(256_000_000, 1)).unwrap();
                if spool.class_counters(Class::Normal).cursor == cursor {
                    return;
                }
            }
        });
        polling.await.unwrap();
    }

    /// Runs `edge-encoder doctor`, and returns the verdict and the text of the finding about `subject`.
    pub(crate) fn doctor(&self, bundle: &Path, subject: &str) -> (String, String) {
        let output = self.command("doctor", bundle).arg("--json").output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = found["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["what"] == subject).unwrap();
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        (text("verdict"), text("found"))
    }

    /// Returns a command of `edge-encoder` with the config file of this agent.
    pub(crate) fn command(&self, command: &str, bundle: &Path) -> Command {
        let config = self.path("edge.toml");
        let names = ["inbox", "done", "spool", "updates", "edge.sock", "machine-id"];
        let [inbox, done, spool, updates, socket, machine] =
            names.map(|name| self.path(name).display().to_string());
        let bundle = bundle.display().to_string();
        let text = format!(
            "bundle = {bundle:?}\nendpoint = {:?}\ndevice = 'gate-7'\nsocket = {socket:?}\n\
             [spool]\nfolder = {spool:?}\nmachine_id_file = {machine:?}\n{}\n\
             [update]\nchannel = 'stable'\nfolder = {updates:?}\nevery_minutes = 0.001\n{}\
             [[source]]\nfolder = {inbox:?}\nmoved_to = {done:?}\nsettle_seconds = 0.0\n{}",
            self.url, self.spool_keys, self.update_keys, self.tables
        );
        fs::write(&config, text).unwrap();
        let mut edge = Command::new(env!("CARGO_BIN_EXE_edge-encoder"));
        for name in
            ["LOPSIDE_BUNDLE", "LOPSIDE_CHANNEL", "LOPSIDE_ENDPOINT", "LOPSIDE_SPOOL", "LOPSIDE_SOCKET"]
        {
            edge.env_remove(name);
        }
        edge.arg(command).arg("--config").arg(config);
        for (name, value) in &self.variables {
            edge.env(name, value);
        }
        edge
    }

    /// Returns the latent spaces of the frames in the spool, in the order of encoding.
    pub(crate) fn frames(&self) -> Vec<LatentSpaceId> {
        let disk = Disk::open(&self.path("spool")).unwrap();
        let mut spool = Spool::open(disk, Options::new(256_000_000, 1)).unwrap();
        let mut frames = Vec::new();
        loop {
            let records = spool.read(Class::Normal).unwrap();
            if records.is_empty() {
                return frames;
            }
            frames.extend(records.iter().map(|record| {
                let captured = CapturedFrame::decode(&record.bytes[..]).unwrap();
                peek_latent_space(&captured.frame).unwrap().unwrap()
            }));
        }
    }
}

impl Agent {
    /// Waits for a status report that meets a condition.
    pub(crate) async fn until(&self, condition: impl Fn(&AgentReport) -> bool) -> AgentReport {
        let mut last = None;
        let polling = timeout(WAIT_TIMEOUT, async {
            let mut ticks = interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                let socket = self.socket.clone();
                last = tokio::task::spawn_blocking(move || request_status(&socket).ok()).await.unwrap();
                if let Some(report) = last.as_ref().filter(|report| condition(report)) {
                    return report.clone();
                }
            }
        });
        let report = polling.await;
        report.unwrap_or_else(|_| panic!("timed out; the last report is {last:#?}"))
    }

    /// Waits for an update report that meets a condition.
    pub(crate) async fn until_update(&self, condition: impl Fn(&UpdateReport) -> bool) -> UpdateReport {
        self.until(|report| report.update.as_ref().is_some_and(&condition)).await.update.unwrap()
    }

    /// Waits until the agent encodes with the bundle of this latent space.
    pub(crate) async fn until_uses(&self, id: LatentSpaceId) -> AgentReport {
        self.until(|report| report.latent_space.as_deref() == Some(&id.to_string())).await
    }

    /// Waits until all images that were put into the inbox are stored.
    pub(crate) async fn until_stored(&self, home: &Home) -> AgentReport {
        let count = home.count() as u64;
        self.until(|report| report.spool.classes.iter().map(|class| class.pending).sum::<u64>() == count)
            .await
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM, and waits until the agent has ended.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
