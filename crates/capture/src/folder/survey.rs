//! A look at the files of a folder, for a diagnosis.

use std::path::{Path, PathBuf};

use super::tree::{Entry, Tree};
use crate::CaptureError;

/// Maximum number of files of which a survey looks at the content.
const MAX_FILES: u64 = 1000;

/// The files of a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FolderSurvey {
    /// Number of files that were looked at.
    pub file_count: u64,
    /// Whether there are more files than were looked at.
    pub has_more: bool,
    /// Number of files that are not inputs, among those that were looked at.
    pub unknown_count: u64,
    /// One of the files that are not inputs.
    pub unknown: Option<PathBuf>,
    /// One of the inputs.
    pub input: Option<PathBuf>,
}

/// Looks at the first files of a folder; `accepts_file` returns whether a file is an input.
///
/// # Errors
/// [`CaptureError::FileOperation`] if the folder cannot be listed.
pub fn survey_folder(
    folder: &Path,
    is_recursive: bool,
    accepts_file: impl Fn(&Path) -> bool,
) -> Result<FolderSurvey, CaptureError> {
    let tree = Tree::new(folder, is_recursive, None);
    let mut survey = FolderSurvey::default();
    tree.walk(Path::new(""), &mut |relative, entry| {
        if matches!(entry, Entry::Folder(_)) {
            return;
        }
        if survey.file_count == MAX_FILES {
            survey.has_more = true;
            return;
        }
        survey.file_count += 1;
        let path = tree.path(relative);
        if matches!(entry, Entry::File(state) if !state.is_empty()) && accepts_file(&path) {
            survey.input.get_or_insert(path);
        } else {
            survey.unknown_count += 1;
            survey.unknown.get_or_insert(path);
        }
    })?;
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn inputs_and_other_files_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("a.jpg", "x"), ("b.jpg", "x"), ("notes.txt", "x"), ("empty.jpg", ""), (".x", "x")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let is_jpeg = |path: &Path| path.extension().is_some_and(|extension| extension == "jpg");
        let survey = survey_folder(folder.path(), true, is_jpeg).unwrap();
        assert_eq!((survey.file_count, survey.unknown_count, survey.has_more), (4, 2, false));
        assert!(is_jpeg(&survey.input.unwrap()));
        assert!(survey.unknown.is_some());
        assert!(survey_folder(&folder.path().join("missing"), true, is_jpeg).is_err());
    }
}
