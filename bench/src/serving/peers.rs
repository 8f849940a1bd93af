//! The servers: their start commands and their protocols.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    install::{install_environment, site_packages},
    models::{INPUT_NAME, Model, OUTPUT_NAME},
};
use crate::{BenchError, error::io_error};

/// The folder of the scripts that the Python servers run.
const SCRIPTS_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
/// Maximum queue length of cloud-decoder: more than the number of workers, and no more decoder requests than
/// can be answered within the deadline.
const MAX_QUEUE: usize = 100;

/// A server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The name of the server and of its environment.
    pub(crate) name: &'static str,
    /// The protocol of the server.
    pub(crate) protocol: Protocol,
    command: fn(&LaunchOptions<'_>) -> Result<Command, BenchError>,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The Open Inference Protocol over gRPC
    OpenInference,
    /// Little-endian floats in the bodies of HTTP/1.1
    Http {
        /// Whether requests are JSON instead, `{"latent": [floats]}`.
        json: bool,
        /// The path to which requests are posted.
        infer_path: &'static str,
        /// The path that returns 200 once the server is ready.
        ready_path: &'static str,
    },
}

/// The parameters of a server's start.
#[derive(Debug)]
pub(crate) struct LaunchOptions<'a> {
    /// The model.
    pub(crate) model: Model,
    /// The folder with the model's file and bundle.
    pub(crate) models: &'a Path,
    /// A working folder for this server only.
    pub(crate) work_folder: &'a Path,
    /// Number of ONNX Runtime threads.
    pub(crate) threads: usize,
    /// The port to listen on, followed by additional ports, for example for metrics.
    pub(crate) ports: [u16; 3],
    /// The binary of cloud-decoder.
    pub(crate) decoder: &'a Path,
    /// The device on which cloud-decoder runs heads.
    pub(crate) device: &'static str,
}

/// The cloud-decoder under test.
pub(crate) const OURS: Peer = Peer {
    name: "cloud-decoder",
    protocol: Protocol::OpenInference,
    command: |launch| Ok(cloud_decoder_command(launch, launch.device)),
};

/// The cloud-decoder on the CPU, for comparison with a GPU.
pub(crate) const OURS_ON_CPU: Peer = Peer {
    name: "cpu",
    protocol: Protocol::OpenInference,
    command: |launch| Ok(cloud_decoder_command(launch, "cpu")),
};

/// The other servers.
pub(crate) const PEERS: [Peer; 6] = [
    Peer { name: "triton", protocol: Protocol::OpenInference, command: triton_command },
    Peer {
        name: "mosec",
        protocol: Protocol::Http { json: false, infer_path: "/inference", ready_path: "/" },
        command: |launch| {
            script_command(launch, "mosec", "mosec_server.py").map(|command| mosec_command(launch, command))
        },
    },
    Peer { name: "mlserver", protocol: Protocol::OpenInference, command: mlserver_command },
    Peer {
        name: "kserve",
        protocol: Protocol::OpenInference,
        command: |launch| script_command(launch, "kserve", "kserve_server.py"),
    },
    Peer {
        name: "bentoml",
        protocol: Protocol::Http { json: false, infer_path: "/raw/infer", ready_path: "/readyz" },
        command: bentoml_command,
    },
    Peer {
        name: "litserve",
        protocol: Protocol::Http { json: true, infer_path: "/predict", ready_path: "/health" },
        command: |launch| script_command(launch, "litserve", "litserve_server.py"),
    },
];

impl Peer {
    /// Returns the command that starts the server, after installing its environment.
    pub(crate) fn command(&self, launch: &LaunchOptions<'_>) -> Result<Command, BenchError> {
        (self.command)(launch)
    }

    /// Returns whether requests carry `grpc-timeout`. Triton responds twice to a request whose timeout has
    /// passed, the second time on a stream that it has already reset, and strict clients end the connection
    /// for this reason.
    pub(crate) fn accepts_deadlines(&self) -> bool {
        self.name != "triton"
    }

    /// Returns the server's name for a model.
    pub(crate) fn model_name(&self, model: Model) -> String {
        if self.is_ours() { model.head_name() } else { model.name().to_owned() }
    }

    /// Returns the port for HTTP, one of the ports in [`LaunchOptions`]. cloud-decoder serves gRPC and HTTP on one
    /// port, the others with its protocol on two.
    pub(crate) fn http_port(&self, ports: [u16; 3]) -> u16 {
        let [first, second, _] = ports;
        if self.protocol == Protocol::OpenInference && !self.is_ours() { second } else { first }
    }

    fn is_ours(&self) -> bool {
        [OURS.name, OURS_ON_CPU.name].contains(&self.name)
    }
}

impl LaunchOptions<'_> {
    fn onnx_path(&self) -> PathBuf {
        self.models.join(self.model.name()).with_extension("onnx")
    }

    /// Adds the environment variables that `session.py` reads.
    fn with_python_env(&self, mut command: Command) -> Command {
        let shape = self.model.input_shape().map(|extent| extent.to_string()).join(",");
        command
            .env("PYTHONPATH", SCRIPTS_FOLDER)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BENCH_MODEL", self.onnx_path())
            .env("BENCH_NAME", self.model.name())
            .env("BENCH_SHAPE", shape)
            .env("BENCH_BATCH", self.model.max_batch().to_string())
            .env("BENCH_THREADS", self.threads.to_string())
            .env("BENCH_PORT", self.ports[0].to_string())
            .env("BENCH_SECOND_PORT", self.ports[1].to_string());
        command
    }
}

fn cloud_decoder_command(launch: &LaunchOptions<'_>, device: &str) -> Command {
    let mut command = Command::new(launch.decoder);
    command.args(["serve", "--device", device, "--listen", &format!("127.0.0.1:{}", launch.ports[0])]);
    command.args(["--threads", &launch.threads.to_string(), "--queue", &MAX_QUEUE.to_string()]);
    command.arg("--bundle").arg(launch.models.join(launch.model.name()));
    command
}

fn script_command(launch: &LaunchOptions<'_>, name: &str, script: &str) -> Result<Command, BenchError> {
    let mut command = Command::new(install_environment(name)?.join("bin/python"));
    command.arg(Path::new(SCRIPTS_FOLDER).join(script));
    Ok(launch.with_python_env(command))
}

fn mosec_command(launch: &LaunchOptions<'_>, mut command: Command) -> Command {
    command.args(["--address", "127.0.0.1", "--port", &launch.ports[0].to_string()]);
    command
}

fn bentoml_command(launch: &LaunchOptions<'_>) -> Result<Command, BenchError> {
    let mut command = Command::new(install_environment("bentoml")?.join("bin/bentoml"));
    command.args(["serve", "bentoml_service:Model", "--working-dir", SCRIPTS_FOLDER, "--host", "127.0.0.1"]);
    command.args(["--port", &launch.ports[0].to_string()]);
    command.env("BENTOML_HOME", launch.work_folder).env("BENTOML_DO_NOT_TRACK", "1");
    Ok(launch.with_python_env(command))
}

fn mlserver_command(launch: &LaunchOptions<'_>) -> Result<Command, BenchError> {
    let [grpc, http, metrics] = launch.ports;
    let settings = serde_json::json!({
        "host": "127.0.0.1", "grpc_port": grpc, "http_port": http, "metrics_port": metrics,
        "parallel_workers": 0, "debug": false,
    });
    let model = serde_json::json!({
        "name": launch.model.name(), "implementation": "mlserver_model.Model",
        "max_batch_size": launch.model.max_batch(), "max_batch_time": 0.001,
    });
    write_file(launch.work_folder, "settings.json", &settings.to_string())?;
    write_file(launch.work_folder, "model-settings.json", &model.to_string())?;
    let mut command = Command::new(install_environment("mlserver")?.join("bin/mlserver"));
    command.arg("start").arg(launch.work_folder);
    Ok(launch.with_python_env(command))
}

/// Returns the command for the binary that `nvidia-pytriton` contains, with the Python backend and a model
/// that runs ONNX Runtime.
fn triton_command(launch: &LaunchOptions<'_>) -> Result<Command, BenchError> {
    let environment = install_environment("triton")?;
    let (packages, python) = site_packages(&environment)?;
    let server = packages.join("pytriton/tritonserver");
    let repository = launch.work_folder.join("repository");
    let model = repository.join(launch.model.name());
    write_file(&model, "config.pbtxt", &triton_config(launch.model))?;
    write_file(&model.join("1"), "model.py", include_str!("../../peers/triton_model.py"))?;
    let stub = "triton_python_backend_stub";
    let source = server.join("python_backend_stubs").join(python).join(stub);
    let target = server.join("backends/python").join(stub);
    // The file must not be overwritten while the program runs.
    if !target.is_file() {
        fs::copy(&source, &target).map_err(io_error(&target))?;
    }
    let [grpc, http, metrics] = launch.ports;
    let mut command = launch.with_python_env(Command::new(server.join("bin/tritonserver")));
    let python_path = std::env::join_paths([Path::new(SCRIPTS_FOLDER), &packages]).unwrap_or_default();
    command
        .env("PYTHONPATH", python_path)
        .env("LD_LIBRARY_PATH", packages.join("nvidia_pytriton.libs"))
        .arg("--model-repository")
        .arg(repository)
        .arg("--backend-directory")
        .arg(server.join("backends"))
        .args(["--grpc-address", "127.0.0.1", "--http-address", "127.0.0.1"])
        .args(["--metrics-address", "127.0.0.1", "--allow-gpu-metrics=false"])
        .args([format!("--grpc-port={grpc}"), format!("--http-port={http}")])
        .arg(format!("--metrics-port={metrics}"));
    Ok(command)
}

/// Returns Triton's model configuration. It does not set a queue policy, because with any policy this version
/// occasionally delays requests by half a second.
fn triton_config(model: Model) -> String {
    format!(
        "backend: \"python\"\nmax_batch_size: {}\ninput [{}]\noutput [{}]\n\
         instance_group [{{ kind: KIND_CPU count: 1 }}]\n\
         dynamic_batching {{}}\n",
        model.max_batch(),
        triton_tensor(INPUT_NAME, model.input_shape()),
        triton_tensor(OUTPUT_NAME, model.output_shape()),
    )
}

fn triton_tensor(name: &str, dims: [usize; 3]) -> String {
    format!("{{ name: \"{name}\" data_type: TYPE_FP32 dims: {dims:?} }}")
}

fn write_file(folder: &Path, name: &str, text: &str) -> Result<(), BenchError> {
    let path = folder.join(name);
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    fs::write(&path, text).map_err(io_error(&path))
}
