//! A running `edge-encoder run`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use edge_encoder::agent::{Report, ask};
use image::GrayImage;
use lopside_e2e::{binary, in_clone};
use rand::{Rng, RngExt as _};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{interval, timeout};

/// How long anything may take before the test has failed.
pub(crate) const LONGEST: Duration = Duration::from_mins(2);

/// What an agent lives in: a folder of its own.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    endpoint: String,
    bundle: PathBuf,
    /// Further lines of its source.
    source: &'static str,
    /// Further tables.
    tables: String,
}

/// The agent; killed when dropped.
pub(crate) struct Agent {
    child: Option<Child>,
    socket: PathBuf,
}

impl Home {
    /// Whose source has these further lines.
    pub(crate) fn new(endpoint: String, source: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inbox")).unwrap();
        Self { folder, endpoint, bundle: in_clone("bundles/fashion"), source, tables: String::new() }
    }

    /// With another bundle, and others from a channel.
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

    /// How many files are done.
    fn done(&self) -> usize {
        fs::read_dir(self.path("done")).map_or(0, Iterator::count)
    }

    /// Puts a picture into the inbox, whole at once.
    pub(crate) fn put(&self, name: &str, picture: &GrayImage) {
        let part = self.path("picture.png");
        picture.save(&part).unwrap();
        fs::rename(part, self.inbox().join(name)).unwrap();
    }

    /// The same with a file that is no picture.
    pub(crate) fn put_bytes(&self, name: &str, bytes: &[u8]) {
        let part = self.path("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(part, self.inbox().join(name)).unwrap();
    }

    pub(crate) fn start(&self) -> Agent {
        let (config, socket) = (self.path("edge.toml"), self.path("edge.sock"));
        let [bundle, inbox, done, answers] =
            [self.bundle.clone(), self.inbox(), self.path("done"), socket.clone()]
                .map(|path| path.display().to_string());
        let Self { endpoint, source, tables, .. } = self;
        let text = format!(
            "bundle = {bundle:?}\nendpoint = {endpoint:?}\ndevice = 'gate-7'\nsocket = {answers:?}\n\
             [uplink]\npatience_seconds = 2\nlongest_pause_seconds = 1\n{tables}\
             [[source]]\nfolder = {inbox:?}\nmoved_to = {done:?}\nsettle_seconds = 0.1\n{source}\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = binary("edge-encoder");
        command.arg("run").arg("--config").arg(config).arg("--spool").arg(self.path("spool"));
        Agent { child: Some(command.stdout(Stdio::null()).spawn().unwrap()), socket }
    }
}

impl Agent {
    /// SIGKILL: nothing that it could do about it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// All files that were put are done, so many.
    pub(crate) async fn until_done(&self, home: &Home, files: usize) {
        self.until(|_| home.done() == files).await;
    }

    /// What it says of itself, once it says what is wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Report) -> bool) -> Report {
        let mut last = None;
        let asked = timeout(LONGEST, async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                last = ask(&self.socket).ok();
                if let Some(report) = last.as_ref().filter(|report| wanted(report)) {
                    return report.clone();
                }
            }
        });
        let found = asked.await;
        found.unwrap_or_else(|_| panic!("the agent does not come to it: {last:#?}"))
    }

    /// All that it has is delivered.
    pub(crate) async fn until_sent(&self, produced: u64) -> Report {
        self.until(|report| {
            let classes = &report.spool.classes;
            let made = classes.iter().map(|class| class.produced).sum::<u64>();
            made >= produced && classes.iter().all(|class| class.pending + class.in_doubt == 0)
        })
        .await
    }

    /// SIGTERM, and the end.
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

/// A picture that no other one is like.
pub(crate) fn picture(rng: &mut impl Rng) -> GrayImage {
    let corners: [[f32; 4]; 4] =
        std::array::from_fn(|_| std::array::from_fn(|_| rng.random_range(0.0..255.0)));
    GrayImage::from_fn(28, 28, |x, y| image::Luma([corners[y as usize / 7][x as usize / 7] as u8]))
}

/// The frames of the pictures of a folder, by `edge-encoder encode`, which they are held against.
pub(crate) fn frames(folder: &Path) -> Vec<Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    lopside_e2e::encode(folder.to_str().unwrap(), out.path())
}
