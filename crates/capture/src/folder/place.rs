use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use crate::CaptureError;

/// Maximum number of files with the same name.
const MAX_SAME_NAME: u32 = 100_000;

/// Moves a file into a folder, also across file systems, and never over another file: a number is added to
/// its name.
pub(crate) fn move_into(file: &Path, folder: &Path) -> Result<(), CaptureError> {
    let name = file.file_name().unwrap_or_default();
    match rename_to_free(file, folder, name) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let copy = copy_hidden(file, folder, name)
                .map_err(CaptureError::file_error("copy a file into", folder))?;
            rename_to_free(&copy, folder, name).map_err(CaptureError::file_error("move", file))?;
            // The new name must be on the disk before the original file is removed.
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(CaptureError::file_error("sync", folder))?;
            fs::remove_file(file).map_err(CaptureError::file_error("remove", file))
        }
        placed => placed.map_err(CaptureError::file_error("move", file)),
    }
}

/// Syncs the folder that contains a file, so that the name of the file is on the disk.
pub(crate) fn sync_parent(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Copies a file to a hidden name, and syncs it to the disk.
fn copy_hidden(file: &Path, folder: &Path, name: &OsStr) -> io::Result<PathBuf> {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".part");
    let copy = folder.join(hidden);
    let copied = fs::copy(file, &copy).and_then(|_| File::options().write(true).open(&copy)?.sync_all());
    if copied.is_err() {
        let _ = fs::remove_file(&copy);
    }
    copied.map(|()| copy)
}

/// Renames a file to the first free name.
fn rename_to_free(file: &Path, folder: &Path, name: &OsStr) -> io::Result<()> {
    for number in 0..MAX_SAME_NAME {
        match rename_to_new(file, &folder.join(numbered_name(name, number))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files with its name exist"))
}

fn rename_to_new(file: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, file, CWD, target, RenameFlags::NOREPLACE) {
        // Some file systems do not support this; there an empty file reserves the name first.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            File::create_new(target)?;
            fs::rename(file, target).inspect_err(|_| {
                let _ = fs::remove_file(target);
            })
        }
        result => Ok(result?),
    }
}

/// Returns the numbered name: `a.jpg`, `a-1.jpg`, `a-2.jpg` and so on.
fn numbered_name(name: &OsStr, number: u32) -> OsString {
    let path = Path::new(name);
    if number == 0 {
        return name.to_owned();
    }
    let mut numbered = path.file_stem().unwrap_or_default().to_owned();
    numbered.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        numbered.push(".");
        numbered.push(extension);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension() {
        assert_eq!(numbered_name(OsStr::new("a.b.jpg"), 0), "a.b.jpg");
        assert_eq!(numbered_name(OsStr::new("a.b.jpg"), 3), "a.b-3.jpg");
        assert_eq!(numbered_name(OsStr::new("a"), 1), "a-1");
    }
}
