use std::{fs::File, io::Read as _, path::Path};

use lopside_spool::MachineId;

use crate::{EdgeError, error::io_error};

/// Maximum number of bytes that are read; an id has 33.
const MAX_BYTES: u64 = 256;

/// Reads the id of this machine from a file such as `/etc/machine-id`.
///
/// # Errors
/// [`EdgeError::Io`], or [`EdgeError::InvalidFile`] if the file does not contain an id.
pub(crate) fn read_machine_id(path: &Path) -> Result<MachineId, EdgeError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    read.map_err(io_error(path))?;
    MachineId::parse(&text).ok_or_else(|| EdgeError::InvalidFile {
        path: path.to_owned(),
        reason: "it does not contain the id of a machine: 32 hexadecimal digits, not all 0".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_id_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine-id");
        assert!(read_machine_id(&path).unwrap_err().to_string().contains("machine-id"));
        std::fs::write(&path, "uninitialized\n").unwrap();
        let error = read_machine_id(&path).unwrap_err().to_string();
        assert!(error.contains("machine-id") && error.contains("32 hexadecimal digits"), "{error}");
        std::fs::write(&path, format!("{}\n", "7".repeat(32))).unwrap();
        assert!(read_machine_id(&path).is_ok());
    }
}
