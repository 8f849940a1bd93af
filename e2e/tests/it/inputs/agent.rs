//! An archive, and agents that send to it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use edge_encoder::agent::{AgentReport, SourceReport, request_status};
use lopside_archive::{Archive, FrameQuery, MAX_PAGE_FRAMES, Settings};
use lopside_e2e::{CloudDecoder, binary_command, serve_command};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

/// Maximum wait for a state before the test fails.
const WAIT_TIMEOUT: Duration = Duration::from_mins(3);

/// A cloud-decoder with an archive.
pub(super) struct Site {
    cloud: CloudDecoder,
    archive_url: String,
    _folder: TempDir,
}

/// An archived frame.
pub(super) struct Archived {
    pub(super) device: String,
    pub(super) source: String,
    pub(super) is_damaged: bool,
    pub(super) frame: Vec<u8>,
}

/// A running agent; killed when dropped.
pub(super) struct Agent {
    child: Child,
    socket: PathBuf,
    _folder: TempDir,
}

impl Site {
    /// Starts a server with this bundle. Its heads are not used, so they are not measured.
    pub(super) fn start(bundle: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive_url = format!("sqlite:{}", folder.path().join("archive.db").display());
        let mut command = serve_command(&[bundle]);
        command.args(["--max-batch=1", "--archive-scores=false", "--archive", &archive_url]);
        Self { cloud: CloudDecoder::run(&mut command), archive_url, _folder: folder }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.cloud.url
    }

    /// Stops the server, and returns the archived frames in the order in which each device stored them.
    pub(super) async fn archived(mut self) -> Vec<Archived> {
        let _ = self.cloud.stop();
        let archive = Archive::open(&self.archive_url, Settings::default()).await.unwrap();
        let mut query = FrameQuery { limit: MAX_PAGE_FRAMES, ..FrameQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = archive.list_frames(&query).await.unwrap();
            for meta in page.frames {
                let frame = archive.read_frame(meta.id).await.unwrap().unwrap().bytes;
                let (device, source) = (meta.device.to_string(), meta.source.to_string());
                let is_damaged = meta.marks.is_damaged;
                found.push((meta.epoch, meta.number, Archived { device, source, is_damaged, frame }));
            }
            let Some(next) = page.next else { break };
            query.after = Some(next);
        }
        archive.close().await;
        found.sort_by_key(|(epoch, number, _)| (*epoch, *number));
        found.into_iter().map(|(.., archived)| archived).collect()
    }
}

impl Agent {
    /// Starts an agent of this name, with further keys of the root table, and the tables of its sources. A folder without
    /// files is one more source, so that the agent does not end when the others have.
    pub(super) fn start(site: &Site, device: &str, bundle: &Path, keys: &str, sources: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [config, socket, spool, empty] =
            ["edge.toml", "edge.sock", "spool", "empty"].map(|name| folder.path().join(name));
        fs::create_dir(&empty).unwrap();
        let bundle = fs::canonicalize(bundle).unwrap();
        let endpoint = site.endpoint();
        let text = format!(
            "bundle = '{}'\nendpoint = '{endpoint}'\ndevice = '{device}'\nsocket = '{}'\n{keys}\n\
             [spool]\nfolder = '{}'\n[uplink]\nlongest_pause_seconds = 1\n\
             [[source]]\nname = 'empty'\nfolder = '{}'\n{sources}",
            bundle.display(),
            socket.display(),
            spool.display(),
            empty.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = binary_command("edge-encoder");
        let child = command.args(["run", "--config"]).arg(config).stdout(Stdio::null()).spawn().unwrap();
        Self { child, socket, _folder: folder }
    }

    /// Waits until the agent's report satisfies a condition and all of its frames are delivered, and returns the report.
    pub(super) async fn until_sent(&self, condition: impl Fn(&AgentReport) -> bool) -> AgentReport {
        self.until_sent_after(Duration::ZERO, condition).await
    }

    /// Like [`until_sent`](Self::until_sent), for a condition that can be met only after this time.
    pub(super) async fn until_sent_after(
        &self,
        time: Duration,
        condition: impl Fn(&AgentReport) -> bool,
    ) -> AgentReport {
        let mut last = None;
        let polling = timeout(time + WAIT_TIMEOUT, async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                last = request_status(&self.socket).ok();
                if let Some(report) = last.as_ref().filter(|report| is_sent(report) && condition(report)) {
                    return report.clone();
                }
            }
        });
        let report = polling.await;
        report.unwrap_or_else(|_| panic!("the agent did not reach the expected state: {last:#?}"))
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(super) fn stop(mut self) {
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

/// Returns whether every frame that was encoded is delivered.
fn is_sent(report: &AgentReport) -> bool {
    let encoded: u64 = report.sources.iter().map(|source| source.encoded).sum();
    let delivered: u64 = report.spool.classes.iter().map(|class| class.delivered).sum();
    encoded == delivered
}

/// Returns whether a source has ended, and all of its inputs are encoded or refused.
pub(super) fn is_settled(source: &SourceReport) -> bool {
    let SourceReport { captured, encoded, failed, too_fast, unchanged, .. } = source;
    source.has_ended && encoded + failed + too_fast + unchanged >= *captured
}

/// Returns the report of a source.
pub(super) fn source<'a>(report: &'a AgentReport, name: &str) -> &'a SourceReport {
    report.sources.iter().find(|source| source.name == name).unwrap()
}
