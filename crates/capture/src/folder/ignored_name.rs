use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

/// Returns whether a name is hidden or that of an unfinished file.
pub(crate) fn is_ignored(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    name.starts_with(b".")
        || [&b".part"[..], b".tmp", b".crdownload", b"~"].iter().any(|end| name.ends_with(end))
}

/// Returns whether a file of a watched folder is ignored, because of its name or because a folder on the way to it is
/// hidden.
pub(crate) fn is_ignored_path(relative: &Path) -> bool {
    let is_hidden = |name: &OsStr| name.as_bytes().starts_with(b".");
    relative.file_name().is_none_or(is_ignored) || relative.iter().any(is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_hidden_folder_is_ignored() {
        for path in [".thumbs/a.jpg", "a/.cache/b.jpg", "a/b.part", ""] {
            assert!(is_ignored_path(Path::new(path)), "{path}");
        }
        // Only hidden folders are ignored.
        assert!(!is_ignored_path(Path::new("card.tmp/a.jpg")));
    }

    #[test]
    fn names_of_unfinished_files_are_ignored() {
        for name in [".hidden", "a.part", "a.jpg.TMP", "a.crdownload", "a.txt~"] {
            assert!(is_ignored(OsStr::new(name)), "{name}");
        }
        assert!(!is_ignored(OsStr::new("part.jpg")));
    }
}
