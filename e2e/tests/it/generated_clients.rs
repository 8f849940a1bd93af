//! Clients that are generated from the OpenAPI document have every operation, and their calls succeed.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use lopside_e2e::{CloudDecoder, in_clone, run_command, run_stdout, sample_frame};
use serde_json::Value;
use tempfile::TempDir;

const DOCUMENT: &str = "cloud-decoder/tests/golden/openapi.json";
const CHANNELS: &str = r#"
[[channel]]
name = "stable"
bundle = "fashion"

[[channel]]
name = "old"
bundle = "gone"
"#;

fn required_variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run the tests with `cargo xtask test`"))
}

/// An operation of the document.
struct Operation {
    tag: String,
    id: String,
}

fn operations() -> Vec<Operation> {
    let document = fs::read_to_string(in_clone(DOCUMENT)).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values()).map(|operation| Operation {
        tag: operation["tags"][0].as_str().unwrap().to_owned(),
        id: operation["operationId"].as_str().unwrap().to_owned(),
    });
    let operations: Vec<Operation> = operations.collect();
    assert!(operations.len() > 30, "{}", operations.len());
    operations
}

/// Runs a generator, which must not report anything that it leaves out.
fn generate(command: &mut Command) {
    let output = run_command(command);
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let is_complete =
        ["warn", "unable", "skipp", "omitted"].iter().all(|word| !text.to_lowercase().contains(word));
    assert!(output.status.success() && is_complete, "{text}");
}

/// A server that the clients call, and a folder with the frame that they decode.
struct Service {
    cloud: CloudDecoder,
    folder: TempDir,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let channels = folder.path().join("channels.toml");
        fs::write(&channels, CHANNELS).unwrap();
        fs::write(folder.path().join("frame.lps"), sample_frame()).unwrap();
        let channels = channels.to_str().unwrap();
        let cloud = CloudDecoder::start_with_env(
            &[&in_clone("bundles/fashion"), &in_clone("bundles/photo")],
            &[("LOPSIDE_CHANNELS", channels)],
        );
        Self { cloud, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program that calls the server, and checks that it reports this number of passed checks.
    fn assert_passed(&self, program: &mut Command, checks: usize) {
        program.arg(&self.cloud.url).arg(self.path().join("frame.lps")).current_dir(self.path());
        let text = run_stdout(program);
        assert_eq!(text.lines().filter(|line| line.starts_with("ok: ")).count(), checks, "{text}");
    }
}

#[test]
fn python_clients_have_every_operation_and_their_calls_succeed() {
    let python = PathBuf::from(required_variable("LOPSIDE_CLIENT_GENERATOR_PYTHON"));
    let service = Service::start();
    let package = service.path().join("lopside_client");
    let mut generator = Command::new(python.with_file_name("openapi-python-client"));
    generator.args(["generate", "--meta", "none", "--fail-on-warning", "--path"]).arg(in_clone(DOCUMENT));
    generator.arg("--config").arg(in_clone("e2e/clients/openapi-python-client.yaml"));
    generate(generator.arg("--output-path").arg(&package));
    for Operation { tag, id } in operations() {
        let module = fs::read_to_string(package.join("api").join(tag).join(format!("{id}.py")));
        let module = module.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert!(module.contains("def sync_detailed("), "{id}: {module}");
    }
    let mut program = Command::new(python);
    program.arg(in_clone("e2e/clients/generated.py").canonicalize().unwrap());
    service.assert_passed(program.env("PYTHONPATH", service.path()), 5);
}

#[test]
fn typescript_clients_have_every_operation_and_their_calls_succeed() {
    let node = required_variable("LOPSIDE_NODE");
    let packages = PathBuf::from(required_variable("LOPSIDE_TYPESCRIPT_PACKAGES"));
    let service = Service::start();
    symlink(&packages, service.path().join("node_modules")).unwrap();
    for file in ["client.ts", "package.json", "tsconfig.json"] {
        fs::copy(in_clone("e2e/clients/typescript").join(file), service.path().join(file)).unwrap();
    }
    let types = service.path().join("schema.d.ts");
    let mut generator = Command::new(&node);
    generator.arg(packages.join("openapi-typescript/bin/cli.js")).arg(in_clone(DOCUMENT));
    generate(generator.arg("--output").arg(&types));
    let types = fs::read_to_string(types).unwrap();
    for Operation { id, .. } in operations() {
        assert!(types.contains(&format!("\n    {id}: {{\n        parameters: {{")), "{id}");
    }
    let mut compiler = Command::new(&node);
    compiler.arg(packages.join("typescript/bin/tsc")).args(["--project", "."]).current_dir(service.path());
    let output = run_command(&mut compiler);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    service.assert_passed(Command::new(&node).arg("client.ts"), 3);
}
