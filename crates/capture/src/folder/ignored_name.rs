use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

/// Returns whether a name is hidden or that of an unfinished file.
pub(crate) fn is_ignored(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    name.starts_with(b".")
        || [&b".part"[..], b".tmp", b".crdownload", b"~"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unfinished_files_are_ignored() {
        for name in [".hidden", "a.part", "a.jpg.TMP", "a.crdownload", "a.txt~"] {
            assert!(is_ignored(OsStr::new(name)), "{name}");
        }
        assert!(!is_ignored(OsStr::new("part.jpg")));
    }
}
