//! Unmodified clients of other projects: Triton's Python client over gRPC and HTTP, and gRPC's client for Node.js.
//!
//! A client is a script in `bench/clients`. It connects, sends requests for a warm-up, prints `ready`, waits for a
//! line, sends requests in closed loops, and prints its figures as JSON. Such a client is often the limit of the
//! rate itself, so the CPU time of the server and the ratios to other servers are the figures that count.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;

use super::{
    fleet::RunningServer,
    install,
    load::{Outcome, OutcomeTally},
    models::{INPUT_NAME, Model, OUTPUT_NAME},
    peers::Protocol,
    round_figures::RoundFigures,
};
use crate::{
    BenchError,
    error::{ServingError, io_error},
};

/// The folder of the scripts.
const SCRIPTS_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const PROTOCOL_FILE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/proto/inference/grpc_service.proto");
/// Duration of the warm-up, which is not counted.
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// An unmodified client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptClient {
    /// Triton's Python client over gRPC.
    TritonGrpc,
    /// Triton's Python client over HTTP; for servers with another protocol, the library that it uses.
    TritonHttp,
    /// gRPC's client for Node.js.
    GrpcJs,
}

/// One round of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScriptRound<'a> {
    pub(crate) server: &'a RunningServer,
    pub(crate) model: Model,
    pub(crate) concurrency: usize,
    pub(crate) duration: Duration,
    /// Whether the client lists compression algorithms, as it does by default.
    pub(crate) accepts_compression: bool,
}

/// The figures that a script prints.
#[derive(Debug, Deserialize)]
struct ScriptFigures {
    seconds: f64,
    latencies_us: Vec<u64>,
    failed: u64,
    first_failure: Option<String>,
}

impl ScriptClient {
    /// Returns the name of the client.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TritonGrpc => "tritonclient-grpc",
            Self::TritonHttp => "tritonclient-http",
            Self::GrpcJs => "grpc-js",
        }
    }

    /// Measures one round.
    pub(crate) fn measure_round(self, round: ScriptRound<'_>) -> Result<RoundFigures, BenchError> {
        let folder = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
        let values = folder.path().join("values.bin");
        let bytes: Vec<u8> =
            round.model.input_values().iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(&values, bytes).map_err(io_error(&values))?;
        let mut command = self.command()?;
        command.arg(self.options(round, &values).to_string());
        let mut script = ScriptProcess::start(self.name(), command, &folder.path().join("log.txt"))?;
        script.expect_ready()?;
        let cpu_before = round.server.tree().cpu();
        let figures = script.run()?;
        let cpu = round.server.tree().cpu().saturating_sub(cpu_before);
        if let Some(reason) = &figures.first_failure {
            let (server, client) = (round.server.peer.name, self.name());
            eprintln!(
                "bench: {server}: {} requests of {client} failed; reason of the first failure: {reason}",
                figures.failed
            );
        }
        Ok(figures.round_figures(cpu))
    }

    /// Returns the command that runs the script, after installing its packages.
    fn command(self) -> Result<Command, ServingError> {
        if self == Self::GrpcJs {
            let (node, packages) = install::grpc_js()?;
            let mut command = Command::new(node);
            command.arg(Path::new(SCRIPTS_FOLDER).join("grpc-js/load.cjs")).env("NODE_PATH", packages);
            return Ok(command);
        }
        let mut command = Command::new(install::tritonclient()?.python);
        command.arg(Path::new(SCRIPTS_FOLDER).join("triton_load.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    fn options(self, round: ScriptRound<'_>, values: &Path) -> serde_json::Value {
        let ScriptRound { server, model, .. } = round;
        let address = if self == Self::TritonHttp { server.http_address() } else { server.address() };
        let (kind, json, path) = match server.peer.protocol {
            Protocol::Http { json, infer_path, .. } => ("raw", json, infer_path),
            Protocol::OpenInference if self == Self::TritonHttp => ("http", false, ""),
            Protocol::OpenInference => ("grpc", false, ""),
        };
        let shape: Vec<usize> = std::iter::once(1).chain(model.input_shape()).collect();
        json!({
            "address": address.to_string(),
            "model": server.model_name,
            "tensors": [INPUT_NAME, OUTPUT_NAME],
            "values": values,
            "shape": shape,
            "output_bytes": server.target.output_bytes(),
            "concurrency": round.concurrency,
            "seconds": round.duration.as_secs_f64(),
            "warm_up": WARM_UP_TIME.as_secs_f64(),
            "compression": round.accepts_compression,
            "kind": kind,
            // mlserver reads tensors over HTTP only as JSON.
            "binary": server.peer.name != "mlserver",
            "json": json,
            "path": path,
            "proto": PROTOCOL_FILE,
        })
    }
}

impl ScriptFigures {
    fn round_figures(&self, cpu: Duration) -> RoundFigures {
        let mut tally = OutcomeTally::default();
        for &latency in &self.latencies_us {
            tally.count_outcome(Outcome::Answered, Duration::from_micros(latency));
        }
        RoundFigures {
            cpu_ms: cpu.as_secs_f64() * 1e3 / tally.answered().max(1) as f64,
            per_second: tally.answered() as f64 / self.seconds,
            p50_ms: tally.latency_quantile(0.5),
            p99_ms: tally.latency_quantile(0.99),
            errors: self.failed,
        }
    }
}

/// A running script; killed when dropped.
struct ScriptProcess {
    name: &'static str,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    log: PathBuf,
}

impl ScriptProcess {
    fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self, BenchError> {
        let file = File::create(log).map_err(io_error(log))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|error| script_error(name, error.to_string()))?;
        let stdout = child.stdout.take();
        let stdout = stdout.ok_or_else(|| script_error(name, "its output is not connected".to_owned()))?;
        Ok(Self { name, child, output: BufReader::new(stdout), log: log.to_owned() })
    }

    fn expect_ready(&mut self) -> Result<(), BenchError> {
        let line = self.read_line()?;
        if line == "ready" { Ok(()) } else { Err(self.error(&format!("it is not ready: {line:?}"))) }
    }

    /// Lets the script send requests, and returns its figures.
    fn run(&mut self) -> Result<ScriptFigures, BenchError> {
        let stdin = self.child.stdin.as_mut();
        let started =
            stdin.is_some_and(|stdin| stdin.write_all(b"go\n").and_then(|()| stdin.flush()).is_ok());
        if !started {
            return Err(self.error("it does not read its input"));
        }
        let line = self.read_line()?;
        serde_json::from_str(&line)
            .map_err(|error| self.error(&format!("its figures are unreadable: {error}")))
    }

    fn read_line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(self.error(&error.to_string())),
        }
    }

    fn error(&self, reason: &str) -> BenchError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        script_error(self.name, format!("{reason}; its messages: {log}")).into()
    }
}

impl Drop for ScriptProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script_error(tool: &'static str, reason: String) -> ServingError {
    ServingError::LoadGenerator { tool, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_quantiles_of_the_latencies() {
        let text =
            r#"{"seconds": 2.0, "latencies_us": [3000, 1000, 2000], "failed": 1, "first_failure": "x"}"#;
        let figures: ScriptFigures = serde_json::from_str(text).unwrap();
        let figures = figures.round_figures(Duration::from_millis(6));
        let found = [figures.cpu_ms, figures.per_second, figures.p50_ms, figures.p99_ms].map(f64::to_bits);
        assert_eq!(found, [2.0_f64, 1.5, 2.0, 3.0].map(f64::to_bits));
        assert_eq!(figures.errors, 1);
    }

    #[test]
    fn a_script_that_ends_early_is_an_error_with_its_messages() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no server >&2"]);
        let mut script = ScriptProcess::start("sh", command, &folder.path().join("log.txt")).unwrap();
        let error = script.expect_ready().unwrap_err().to_string();
        assert!(error.contains("not ready") && error.contains("no server"), "{error}");
    }
}
