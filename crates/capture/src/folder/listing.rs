//! The listing of a watched folder: finds files that no event has reported, and watches new subfolders.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{FolderSource, MAX_WAITING_FILES, fingerprint::Fingerprint, settle_time_of, tree::Entry};
use crate::CaptureError;

/// The files and problems that a listing has found.
#[derive(Default)]
struct Found {
    /// The oldest files, by modification time and path.
    files: BTreeSet<(Fingerprint, PathBuf)>,
    /// Whether there are more files.
    has_more: bool,
    /// Entries that are never read, and the reasons.
    others: Vec<(PathBuf, &'static str)>,
    /// The first folder that could not be watched.
    unwatched: Option<CaptureError>,
}

impl FolderSource {
    /// Lists the folders, and lets the files wait that are not known yet.
    pub(super) fn list(&mut self, now: Duration) -> Result<(), CaptureError> {
        let (found, mut problems) = self.find_files()?;
        let Found { files, has_more, others, unwatched } = found;
        self.needs_listing = has_more;
        self.has_unwatched = self.watch.is_none() || unwatched.is_some();
        problems.extend(unwatched);
        self.report_listing(problems);
        for (path, reason) in others {
            let absolute = self.tree.path(&path);
            if let Some(error) = self.unknown.add(&path, None, absolute, reason) {
                self.report(error);
            }
        }
        for (fingerprint, path) in files {
            let settle_time = settle_time_of(fingerprint, self.settle_time);
            self.waiting.begin(path, fingerprint, settle_time, now);
        }
        Ok(())
    }

    /// Finds the files that are not known, and watches the folders on the way. Also returns the problems of subfolders.
    fn find_files(&mut self) -> Result<(Found, Vec<CaptureError>), CaptureError> {
        let Self { tree, watch, waiting, files, unknown, .. } = self;
        let tree = &*tree;
        let (mut found, mut folders) = (Found::default(), HashMap::new());
        let max_files = MAX_WAITING_FILES.saturating_sub(waiting.len());
        let problems = tree.walk(Path::new(""), &mut |path, entry| match entry {
            Entry::Folder(modified_at) => {
                if let Some(Err(error)) = watch.as_mut().map(|watch| watch.add_folder(tree, path)) {
                    found.unwatched.get_or_insert(error);
                }
                folders.insert(path.to_owned(), modified_at);
            }
            Entry::File(fingerprint) => {
                let is_known = waiting.contains(path)
                    || files.is_known(path.as_os_str(), fingerprint)
                    || unknown.contains(path, Some(fingerprint));
                if !is_known {
                    found.add_file(path, fingerprint, max_files);
                }
            }
            Entry::Other(reason) => {
                if !unknown.contains(path, None) && found.others.len() < MAX_WAITING_FILES {
                    found.others.push((path.to_owned(), reason));
                }
            }
        })?;
        self.folders = folders;
        Ok((found, problems))
    }

    /// Reports the problems of a listing, unless they are those of the last one.
    fn report_listing(&mut self, problems: Vec<CaptureError>) {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if texts != self.listing_problems {
            self.listing_problems = texts;
            for problem in problems {
                self.report(problem);
            }
        }
    }
}

impl Found {
    /// Adds a file; if there are too many, the newest is left for the next listing.
    fn add_file(&mut self, path: &Path, fingerprint: Fingerprint, max_files: usize) {
        self.files.insert((fingerprint, path.to_owned()));
        if self.files.len() > max_files {
            self.files.pop_last();
            self.has_more = true;
        }
    }
}
