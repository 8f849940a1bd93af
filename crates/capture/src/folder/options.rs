use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{finish::DoneAction, kept::KeepBounds};

/// Options of a watched folder.
pub struct FolderOptions {
    /// The folder.
    pub path: PathBuf,
    /// Whether its subfolders are watched as well; they are by default.
    pub is_recursive: bool,
    /// Treatment of files that are done.
    pub after: DoneAction,
    /// Bounds on the folder to which files are moved that are done; none by default.
    pub keep_done: KeepBounds,
    /// Bounds on each of the subfolders `failed` and `refused`; none by default.
    pub keep_failed: KeepBounds,
    /// Time for which a file must not have changed before it is taken, unless it was moved in; two seconds by default.
    pub settle_time: Duration,
    /// Returns whether the file at this path is an input; all files are by default. It may read the file.
    pub accepts_file: Box<dyn Fn(&Path) -> bool + Send>,
    /// The reason why other files are not read, with advice for the operator.
    pub refusal: String,
}

impl FolderOptions {
    /// Creates options that accept all files of a folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, after: DoneAction) -> Self {
        Self {
            path: path.into(),
            is_recursive: true,
            after,
            keep_done: KeepBounds::default(),
            keep_failed: KeepBounds::default(),
            settle_time: Duration::from_secs(2),
            accepts_file: Box::new(|_| true),
            refusal: "it is not an input of this source: remove it, or convert it".to_owned(),
        }
    }
}
