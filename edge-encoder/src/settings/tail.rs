//! The keys of a growing file.

use std::path::Path;

use lopside_capture::tail::default_position_file;

use crate::agent::{SourceKind, TailSettings};

/// Returns the default name of a source that follows a file, and its kind.
pub(super) fn tail_kind(path: &Path, position_file: Option<&Path>) -> (String, SourceKind) {
    let name = path.file_name().map_or("tail".into(), |name| name.to_string_lossy().into_owned());
    let position_file = position_file.map_or_else(|| default_position_file(path), Path::to_owned);
    (name, SourceKind::Tail(TailSettings { path: path.to_owned(), position_file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_kept_beside_the_file_unless_a_place_is_given() {
        let settings = |position_file: Option<&str>| {
            let (name, kind) = tail_kind(Path::new("/var/log/meter.csv"), position_file.map(Path::new));
            assert_eq!(name, "meter.csv");
            let SourceKind::Tail(settings) = kind else { panic!("{kind:?}") };
            settings
        };
        assert_eq!(settings(None).position_file, Path::new("/var/log/.meter.csv.lopside-position"));
        assert_eq!(settings(Some("/var/lib/p")).position_file, Path::new("/var/lib/p"));
    }
}
