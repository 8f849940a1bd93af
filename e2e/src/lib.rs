//! Helpers shared by the end-to-end tests: the binaries, the repository's folders and a running
//! cloud-decoder.
//!
//! The binaries are those that cargo built beside the tests; `cargo xtask test` builds them first and sets
//! `ORT_DYLIB_PATH` to the ONNX Runtime library.

pub mod collector;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use axum::{
    body::Body,
    http::{Response, request},
};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustix::process::{Pid, Signal, kill_process};

/// Returns the path of a file inside the repository.
#[must_use]
pub fn in_clone(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns the folder of the binaries.
///
/// # Panics
/// If the running test cannot be found on disk.
#[must_use]
#[allow(clippy::expect_used)]
pub fn binaries_folder() -> PathBuf {
    let test = env::current_exe().expect("the running test has a path");
    test.ancestors().nth(2).expect("tests are in target/PROFILE/deps").to_owned()
}

/// Returns a command for one of the workspace's binaries, without the user's own settings.
///
/// # Panics
/// If the binary has not been built.
#[must_use]
pub fn binary_command(name: &str) -> Command {
    let path = binaries_folder().join(name);
    assert!(path.is_file(), "{} is missing: run the tests with `cargo xtask test`", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    for (key, _) in env::vars_os() {
        if key.to_string_lossy().starts_with("LOPSIDE_") {
            command.env_remove(key);
        }
    }
    command
}

/// Runs a command to its end.
///
/// # Panics
/// If the command cannot be started.
#[must_use]
#[allow(clippy::expect_used)]
pub fn run_command(command: &mut Command) -> Output {
    command.output().expect("the binary starts")
}

/// Runs a command and returns its stdout.
///
/// # Panics
/// If the command fails.
#[must_use]
pub fn run_stdout(command: &mut Command) -> String {
    let output = run_command(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must fail and returns its stderr.
///
/// # Panics
/// If the command succeeds.
#[must_use]
pub fn run_failing(command: &mut Command) -> String {
    let output = run_command(command);
    assert!(!output.status.success(), "{command:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Encodes sample images of clothes, `samples/fashion` or one of its files, into `.lps` files in a folder,
/// and returns the frames sorted by file name.
///
/// # Panics
/// If the images cannot be encoded.
#[must_use]
#[allow(clippy::expect_used)]
pub fn encode_samples(samples: &str, folder: &Path) -> Vec<Vec<u8>> {
    let mut encode = binary_command("edge-encoder");
    encode.arg("encode").arg("--bundle").arg(in_clone("bundles/fashion")).arg("--out").arg(folder);
    let _ = run_stdout(encode.arg(in_clone(samples)));
    let frames: Vec<_> = sorted_files(folder)
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "lps"))
        .map(|path| fs::read(path).expect("the frame can be read"))
        .collect();
    assert!(!frames.is_empty(), "{samples} does not contain any samples");
    frames
}

/// Returns the frame of one sample image.
///
/// # Panics
/// If the image cannot be encoded.
#[must_use]
#[allow(clippy::expect_used)]
pub fn sample_frame() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    encode_samples("samples/fashion/00-ankle-boot.png", folder.path()).remove(0)
}

/// Returns the paths of a folder's files, sorted by name.
#[allow(clippy::expect_used)]
fn sorted_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Returns the frames of a folder as text, one line per frame: the file's name and its bytes in hexadecimal.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
#[allow(clippy::expect_used)]
pub fn frames_as_text(folder: &Path) -> String {
    let paths = sorted_files(folder);
    let lines = paths.iter().map(|path| {
        let bytes = fs::read(path).expect("the frame can be read");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {hex}\n", path.file_name().unwrap_or_default().to_string_lossy())
    });
    lines.collect()
}

/// A running cloud-decoder; killed when dropped.
#[derive(Debug)]
pub struct CloudDecoder {
    child: Child,
    /// The address of the server: `http://127.0.0.1:PORT`, or `https` with TLS.
    pub url: String,
}

impl CloudDecoder {
    /// Starts a server on a free port with these bundles and waits until it is ready.
    ///
    /// # Panics
    /// If the server does not start.
    #[must_use]
    pub fn start(bundles: &[&Path]) -> Self {
        Self::start_with_env(bundles, &[])
    }

    /// Like [`start`](Self::start), with additional environment variables.
    ///
    /// # Panics
    /// If the server does not start.
    #[must_use]
    pub fn start_with_env(bundles: &[&Path], environment: &[(&str, &str)]) -> Self {
        let mut command = serve_command(bundles);
        command.envs(environment.iter().copied());
        Self::run(&mut command)
    }

    /// Runs a command that starts a cloud-decoder, and waits until the server is ready.
    ///
    /// # Panics
    /// If the server does not start.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn run(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cloud-decoder starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut url).expect("stdout can be read");
        url.truncate(url.trim_end().len());
        let mut cloud = Self { child, url };
        let has_started = !cloud.url.is_empty();
        assert!(has_started, "cloud-decoder did not start: {}", cloud.stop().1);
        cloud
    }

    /// Sends a REST request whose URI is a path, and returns the response and its body.
    ///
    /// # Panics
    /// If the server does not respond.
    #[allow(clippy::expect_used)]
    pub async fn send_http(&self, request: request::Builder, body: Vec<u8>) -> (Response<()>, Vec<u8>) {
        let path = request.uri_ref().expect("the URI is a path").to_string();
        let request = request.uri(format!("{}{path}", self.url)).body(Body::from(body));
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let response =
            client.request(request.expect("the request is valid")).await.expect("the server responds");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is complete").to_bytes();
        (Response::from_parts(parts, ()), body.to_vec())
    }

    /// Returns the largest resident memory that the server has had, in bytes.
    ///
    /// # Panics
    /// If the server has ended.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn peak_bytes(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        1024 * kib.expect("a process has a peak of memory")
    }

    /// Sends SIGKILL and waits for the process to end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM, waits for the process to end, and returns its exit status and complete log.
    ///
    /// # Panics
    /// If the process cannot be waited for.
    #[allow(clippy::expect_used)]
    pub fn stop(&mut self) -> (ExitStatus, String) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut log);
        }
        (self.child.wait().expect("the process can be waited for"), log)
    }
}

impl Drop for CloudDecoder {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the command `cloud-decoder serve` on a free port with these bundles.
#[must_use]
pub fn serve_command(bundles: &[&Path]) -> Command {
    serve_command_on(0, bundles)
}

/// Like [`serve_command`], on a given port.
#[must_use]
pub fn serve_command_on(port: u16, bundles: &[&Path]) -> Command {
    let mut command = binary_command("cloud-decoder");
    command.args(["serve", "--device", "cpu", "--listen", &format!("127.0.0.1:{port}")]);
    for bundle in bundles {
        command.arg("--bundle").arg(bundle);
    }
    command
}
