use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use crate::{BundleError, Digest, FileRef};

/// Maximum size of a file of a bundle, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// Reads a file named by the manifest and checks its length and digest.
pub(crate) fn read(root: &Path, file: &FileRef) -> Result<Vec<u8>, BundleError> {
    if file.bytes > MAX_FILE_BYTES {
        return Err(BundleError::TooLarge { path: file.path.clone(), limit: MAX_FILE_BYTES });
    }
    let path = resolve_inside(root, &file.path)?;
    let bytes = read_at_most(&path, file.bytes)?;
    let found = bytes.len() as u64;
    if found != file.bytes {
        return Err(BundleError::LengthMismatch { path: file.path.clone(), found, expected: file.bytes });
    }
    compare_digest(&Digest::of(&bytes), file)?;
    Ok(bytes)
}

/// Checks the length and digest of a file named by the manifest, in pieces. Returns its resolved path.
pub(crate) fn verify_file(root: &Path, file: &FileRef) -> Result<PathBuf, BundleError> {
    let path = resolve_inside(root, &file.path).map_err(|error| match error {
        BundleError::Io { source, .. } => listed_file_error(&file.path, source),
        error => error,
    })?;
    let opened_file = File::open(&path).map_err(|source| listed_file_error(&file.path, source))?;
    let found = opened_file.metadata().map_err(|source| listed_file_error(&file.path, source))?.len();
    if found != file.bytes {
        return Err(BundleError::LengthMismatch { path: file.path.clone(), found, expected: file.bytes });
    }
    let digest = Digest::from_reader(opened_file).map_err(|source| listed_file_error(&file.path, source))?;
    compare_digest(&digest, file)?;
    Ok(path)
}

/// Returns the error of a file named by the manifest. It contains the path as written in the manifest, because
/// it may be shown to clients that must not learn the absolute path.
fn listed_file_error(path: &str, source: io::Error) -> BundleError {
    match source.kind() {
        io::ErrorKind::NotFound => BundleError::Missing { path: path.to_owned() },
        _ => io_error(Path::new(path), source),
    }
}

fn compare_digest(found: &Digest, file: &FileRef) -> Result<(), BundleError> {
    if *found == file.sha256 {
        return Ok(());
    }
    let [found, expected] = [found, &file.sha256].map(|digest| digest.as_str().to_owned());
    Err(BundleError::DigestMismatch { path: file.path.clone(), found, expected })
}

/// Reads a file of at most `limit` bytes; of a longer file, the first `limit + 1` bytes.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|source| io_error(path, source))?;
    Ok(bytes)
}

/// Writes a file of the bundle, and creates the folders that contain it.
pub(crate) fn write_file(folder: &Path, relative: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let path = folder.join(relative);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
    fs::write(&path, bytes).map_err(|source| io_error(&path, source))
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> BundleError {
    BundleError::Io { path: path.to_owned(), source }
}

/// Returns whether a path consists only of plain names: it is not absolute and does not contain `..` or `.`.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Resolves the path of a file, which must be inside the bundle even through symbolic links.
fn resolve_inside(root: &Path, relative: &str) -> Result<PathBuf, BundleError> {
    if !is_plain_path(relative) {
        return Err(BundleError::PathOutside { path: relative.to_owned() });
    }
    let path = canonicalize_path(&root.join(relative))?;
    if path.starts_with(canonicalize_path(root)?) {
        Ok(path)
    } else {
        Err(BundleError::PathOutside { path: relative.to_owned() })
    }
}

fn canonicalize_path(path: &Path) -> Result<PathBuf, BundleError> {
    path.canonicalize().map_err(|source| io_error(path, source))
}
