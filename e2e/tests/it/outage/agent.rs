//! A running `edge-encoder run`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use edge_encoder::agent::{AgentReport, request_status};
use image::GrayImage;
use lopside_e2e::{binary_command, in_clone};
use rand::{Rng, RngExt as _};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{interval, timeout};

/// Maximum wait for a state before the test fails.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_mins(2);

/// The folder with all files of an agent.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    endpoint: String,
    bundle: PathBuf,
    /// Additional lines of the `[[source]]` table.
    source: &'static str,
    /// Additional tables of the configuration.
    tables: String,
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Option<Child>,
    socket: PathBuf,
}

impl Home {
    /// Creates the folder; `source` contains additional lines of the `[[source]]` table.
    pub(crate) fn new(endpoint: String, source: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inbox")).unwrap();
        Self { folder, endpoint, bundle: in_clone("bundles/fashion"), source, tables: String::new() }
    }

    /// Sets another bundle, and follows a channel.
    pub(crate) fn following(self, channel: &str, bundle: PathBuf) -> Self {
        let folder = self.path("bundles").display().to_string();
        let tables = format!("[update]\nchannel = {channel:?}\nfolder = {folder:?}\nevery_minutes = 0.005\n");
        Self { bundle, tables, ..self }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn inbox(&self) -> PathBuf {
        self.path("inbox")
    }

    /// Returns the number of files in `done`.
    fn done(&self) -> usize {
        fs::read_dir(self.path("done")).map_or(0, Iterator::count)
    }

    /// Moves a complete image into the inbox.
    pub(crate) fn put(&self, name: &str, image: &GrayImage) {
        let part = self.path("picture.png");
        image.save(&part).unwrap();
        fs::rename(part, self.inbox().join(name)).unwrap();
    }

    /// Moves a file with these bytes into the inbox.
    pub(crate) fn put_bytes(&self, name: &str, bytes: &[u8]) {
        let part = self.path("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(part, self.inbox().join(name)).unwrap();
    }

    pub(crate) fn start(&self) -> Agent {
        let (config, socket) = (self.path("edge.toml"), self.path("edge.sock"));
        let [bundle, inbox, done, socket_text] =
            [self.bundle.clone(), self.inbox(), self.path("done"), socket.clone()]
                .map(|path| path.display().to_string());
        let Self { endpoint, source, tables, .. } = self;
        let text = format!(
            "bundle = {bundle:?}\nendpoint = {endpoint:?}\ndevice = 'gate-7'\nsocket = {socket_text:?}\n\
             [uplink]\npatience_seconds = 2\nlongest_pause_seconds = 1\n{tables}\
             [[source]]\nfolder = {inbox:?}\nmoved_to = {done:?}\nsettle_seconds = 0.1\n{source}\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = binary_command("edge-encoder");
        command.arg("run").arg("--config").arg(config).arg("--spool").arg(self.path("spool"));
        Agent { child: Some(command.stdout(Stdio::null()).spawn().unwrap()), socket }
    }
}

impl Agent {
    /// Sends SIGKILL, which the process cannot catch.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until this number of files is in `done`.
    pub(crate) async fn until_done(&self, home: &Home, files: usize) {
        self.until(|_| home.done() == files).await;
    }

    /// Waits until the agent's report satisfies a condition, and returns the report.
    pub(crate) async fn until(&self, condition: impl Fn(&AgentReport) -> bool) -> AgentReport {
        let mut last = None;
        let polling = timeout(WAIT_TIMEOUT, async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                last = request_status(&self.socket).ok();
                if let Some(report) = last.as_ref().filter(|report| condition(report)) {
                    return report.clone();
                }
            }
        });
        let report = polling.await;
        report.unwrap_or_else(|_| panic!("the agent did not reach the expected state: {last:#?}"))
    }

    /// Waits until at least `produced` records exist and all of them are delivered.
    pub(crate) async fn until_sent(&self, produced: u64) -> AgentReport {
        self.until(|report| {
            let classes = &report.spool.classes;
            let total = classes.iter().map(|class| class.produced).sum::<u64>();
            total >= produced && classes.iter().all(|class| class.pending + class.in_doubt == 0)
        })
        .await
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(crate) fn stop(mut self) {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns a random image.
pub(crate) fn random_image(rng: &mut impl Rng) -> GrayImage {
    let corners: [[f32; 4]; 4] =
        std::array::from_fn(|_| std::array::from_fn(|_| rng.random_range(0.0..255.0)));
    GrayImage::from_fn(28, 28, |x, y| image::Luma([corners[y as usize / 7][x as usize / 7] as u8]))
}

/// Returns the expected frames of the images in a folder, encoded with `edge-encoder encode`.
pub(crate) fn frames(folder: &Path) -> Vec<Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    lopside_e2e::encode_samples(folder.to_str().unwrap(), out.path())
}
