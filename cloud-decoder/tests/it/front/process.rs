//! The program as a process.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// Returns the command without the environment variables that set its options, except the one of ONNX
/// Runtime.
pub(crate) fn cloud_decoder() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-decoder"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOPSIDE_")) {
        command.env_remove(name);
    }
    command
}

/// A running server; killed when dropped.
pub(crate) struct ServerProcess {
    pub(crate) url: String,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl ServerProcess {
    /// Starts a server of a bundle of the repository on a free port, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion");
        Self::start_bundle(&bundle, arguments)
    }

    /// Starts a server of this bundle on a free port, and waits until it is ready.
    pub(crate) fn start_bundle(bundle: &Path, arguments: &[&str]) -> Self {
        let mut command = cloud_decoder();
        command
            .args(["serve", "--device", "cpu", "--threads", "1", "--listen", "127.0.0.1:0"])
            .args(arguments);
        command.arg("--bundle").arg(bundle).env("RUST_LOG", "info").env("NO_COLOR", "1");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let Some(Ok(url)) = stdout.next() else {
            let reason: Vec<String> = log.map_while(Result::ok).collect();
            panic!("the server did not start: {reason:?}");
        };
        Self { url, child, log }
    }

    /// Returns a field of the process's status, in bytes.
    pub(crate) fn status_bytes(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        1024 * line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    }

    pub(crate) fn send_signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let found = self.log.by_ref().map_while(Result::ok).find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("the log ends without {text:?}: {:?}", self.child.wait()))
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_ended(mut self) -> ExitStatus {
        self.log.by_ref().for_each(drop);
        self.child.wait().unwrap()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
