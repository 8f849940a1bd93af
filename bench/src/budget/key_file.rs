use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use crate::{
    BenchError,
    error::{ProgramError, io_error},
    program::program_path,
};

const PROGRAM: &str = "cloud-decoder";

/// A key file with one key, for the healthy client.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// The secret of the key.
    pub(super) key: String,
}

/// The output of `cloud-decoder key --json`.
#[derive(Deserialize)]
struct GeneratedKey {
    key: String,
    toml: String,
}

impl KeyFile {
    /// Generates a key and writes its file to a folder.
    pub(super) fn create(folder: &Path) -> Result<Self, BenchError> {
        let mut command = Command::new(program_path("LOPSIDE_CLOUD_DECODER")?);
        let output = command.args(["key", "healthy", "--allow", "infer", "--json"]).output();
        let output = output.map_err(|source| ProgramError::Start { program: PROGRAM, source })?;
        let GeneratedKey { key, toml } = serde_json::from_slice(&output.stdout)?;
        let path = folder.join("keys.toml");
        fs::write(&path, toml).map_err(io_error(&path))?;
        Ok(Self { path, key })
    }
}
