use std::io::ErrorKind;

/// Returns what an operator can do about a failure of a disk or a file; `None` if that is not known.
#[must_use]
pub fn disk_fix(failure: ErrorKind) -> Option<&'static str> {
    match failure {
        ErrorKind::ReadOnlyFilesystem => Some(
            "the file system is read-only, possibly because of an error of the disk: look for such errors in the \
             system log, and mount it writable, or configure a folder on another disk",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("free some space on this disk, or configure a folder on another one")
        }
        ErrorKind::PermissionDenied => {
            Some("allow this user to read and write the folder and its files, or configure another folder")
        }
        _ => None,
    }
}
