//! Loads a model from a file, including external data files.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use lopside_onnx::{decode_model, load_external_data, proto::ModelProto};

use crate::{TrainingError, error::io_error};

/// Loads the model and reads its external tensors from the model's folder.
pub(super) fn load_model(path: &Path) -> Result<ModelProto, TrainingError> {
    let mut model = decode_model(&fs::read(path).map_err(io_error(path))?)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(parent).map_err(io_error(parent))?;
    load_external_data(&mut model, &mut |relative, offset, length| {
        read_range(&folder, relative, offset, length)
    })?;
    Ok(model)
}

/// Reads part of a file below the folder. The range is checked against the file's size before memory is
/// allocated.
fn read_range(folder: &Path, relative: &Path, offset: u64, length: usize) -> Result<Vec<u8>, String> {
    let path = fs::canonicalize(folder.join(relative)).map_err(|error| error.to_string())?;
    if !path.starts_with(folder) {
        return Err(
            "a symbolic link leads out of the model's folder: put the file itself into the folder".to_owned()
        );
    }
    let mut file = File::open(&path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if offset.checked_add(length as u64).is_none_or(|end| end > metadata.len()) {
        let size = metadata.len();
        return Err(format!(
            "{length} bytes at offset {offset} go beyond the end of the file at {size} bytes: is it complete?"
        ));
    }
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(offset)).map_err(|error| error.to_string())?;
    file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
