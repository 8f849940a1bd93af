//! The folder into which a command writes: no file is written twice in one run, and no input is overwritten.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{EdgeError, error::io_error};

/// The output folder of one run.
pub(super) struct Outputs {
    folder: PathBuf,
    inputs: HashSet<PathBuf>,
    written: HashSet<PathBuf>,
}

impl Outputs {
    /// Creates the outputs of a run over these input files.
    pub(super) fn new(folder: PathBuf, inputs: &[PathBuf]) -> Self {
        let inputs = inputs.iter().filter_map(|input| input.canonicalize().ok()).collect();
        Self { folder, inputs, written: HashSet::new() }
    }

    /// The output folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into the folder, which is created if necessary, and returns its path. Files of earlier runs are
    /// replaced.
    ///
    /// # Errors
    /// [`EdgeError::Overwrites`] for an input or a file that this run has written, [`EdgeError::Io`].
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, EdgeError> {
        let path = self.folder.join(name);
        if path.canonicalize().is_ok_and(|path| self.inputs.contains(&path)) {
            return Err(EdgeError::Overwrites { path, what: "an input of this run" });
        }
        if !self.written.insert(path.clone()) {
            return Err(EdgeError::Overwrites { path, what: "an output of this run" });
        }
        fs::create_dir_all(&self.folder).map_err(io_error(&self.folder))?;
        fs::write(&path, bytes).map_err(io_error(&path))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_outputs_of_the_run_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("a.png");
        fs::write(&input, b"input").unwrap();
        let mut outputs = Outputs::new(folder.path().to_owned(), std::slice::from_ref(&input));
        let error = outputs.write("a.png", b"x").unwrap_err().to_string();
        assert!(error.contains("an input of this run"), "{error}");
        assert_eq!(fs::read(&input).unwrap(), b"input");
        assert_eq!(fs::read(outputs.write("b.png", b"one").unwrap()).unwrap(), b"one");
        let error = outputs.write("b.png", b"two").unwrap_err().to_string();
        assert!(error.contains("an output of this run"), "{error}");
        let mut again = Outputs::new(folder.path().to_owned(), &[input]);
        assert!(again.write("b.png", b"a later run").is_ok());
    }
}
