//! The changes in a folder and its subfolders, as inotify reports them.

use std::{
    collections::HashMap,
    ffi::{CStr, OsStr},
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use super::tree::Tree;
use crate::CaptureError;

/// A change in a folder. Paths are relative to the watched folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FolderChange {
    /// A file of this name was closed by a writer.
    Closed(PathBuf),
    /// A file was moved in.
    MovedIn(PathBuf),
    /// A name was created: of a file that is being written, or of a link.
    Created(PathBuf),
    /// A subfolder was created or moved in.
    Subfolder(PathBuf),
    /// The system's event queue overflowed.
    Overflow,
    /// The watched folder was moved, removed or unmounted.
    Gone,
}

/// Device and inode, which tell a folder from a later one of the same path.
type Identity = (u64, u64);

/// An inotify instance with a watch per folder.
#[derive(Debug)]
pub(crate) struct FolderWatch {
    inotify: OwnedFd,
    /// The watched folders, by the descriptors of their watches.
    folders: HashMap<i32, PathBuf>,
    root: Identity,
}

impl FolderWatch {
    /// Watches the root of a tree.
    pub(crate) fn open(tree: &Tree) -> Result<Self, CaptureError> {
        let path = tree.root();
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|error| watch_error(path, error))?;
        let root = identity(path)
            .map_err(|error| watch_error(path, Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let mut watch = Self { inotify, folders: HashMap::new(), root };
        watch.add(tree, Path::new("")).map_err(|error| watch_error(path, error))?;
        Ok(watch)
    }

    /// Watches a folder of the tree; for one that is watched already, this changes nothing.
    pub(crate) fn add_folder(&mut self, tree: &Tree, relative: &Path) -> Result<(), CaptureError> {
        match self.add(tree, relative) {
            // It was removed meanwhile.
            Err(Errno::NOENT) => Ok(()),
            result => result.map_err(|error| watch_error(&tree.path(relative), error)),
        }
    }

    fn add(&mut self, tree: &Tree, relative: &Path) -> Result<(), Errno> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let descriptor = inotify::add_watch(&self.inotify, tree.path(relative), flags)?;
        self.folders.insert(descriptor, relative.to_owned());
        Ok(())
    }

    /// Returns whether the path of the tree still leads to the folder that is watched.
    pub(crate) fn is_current(&self, tree: &Tree) -> bool {
        identity(tree.root()).is_ok_and(|identity| identity == self.root)
    }

    /// Passes on all changes since the last call.
    pub(crate) fn drain(&mut self, tree: &Tree, mut on_change: impl FnMut(FolderChange)) -> io::Result<()> {
        let Self { inotify, folders, .. } = self;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&*inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    let (descriptor, flags) = (event.wd(), event.events());
                    let name = event.file_name().map(CStr::to_bytes);
                    if let Some(change) = parse_event(flags, folders.get(&descriptor), name) {
                        on_change(change);
                    }
                    if flags.contains(ReadFlags::IGNORED) {
                        folders.remove(&descriptor);
                    } else if flags.contains(ReadFlags::MOVE_SELF) {
                        forget_moved(inotify, folders, descriptor, tree);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for FolderWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// Returns whether a folder cannot be watched because a limit of the system is reached.
pub(crate) fn is_limit(error: &CaptureError) -> bool {
    let limits = [Errno::NOSPC, Errno::MFILE].map(Errno::raw_os_error).map(Some);
    matches!(error, CaptureError::WatchFolder { source, .. } if limits.contains(&source.raw_os_error()))
}

/// Removes the watch of a subfolder that is not at its place any more; the place to which it was moved is watched anew
/// if it belongs to the tree.
fn forget_moved(inotify: &OwnedFd, folders: &mut HashMap<i32, PathBuf>, descriptor: i32, tree: &Tree) {
    let is_moved = |folder: &PathBuf| !folder.as_os_str().is_empty() && !tree.path(folder).is_dir();
    if folders.get(&descriptor).is_some_and(is_moved) {
        folders.remove(&descriptor);
        // It fails only if the watch is gone already.
        let _ = inotify::remove_watch(inotify, descriptor);
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Returns the change that an event in this folder means; `None` for a folder without a watch, or for a change of no
/// interest.
fn parse_event(flags: ReadFlags, folder: Option<&PathBuf>, name: Option<&[u8]>) -> Option<FolderChange> {
    let gone_flags = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(FolderChange::Overflow);
    }
    let folder = folder?;
    if flags.intersects(gone_flags) {
        // A subfolder may go; its files are found again where it has gone.
        return folder.as_os_str().is_empty().then_some(FolderChange::Gone);
    }
    let path = folder.join(OsStr::from_bytes(name?));
    if flags.contains(ReadFlags::ISDIR) {
        Some(FolderChange::Subfolder(path))
    } else if flags.contains(ReadFlags::MOVED_TO) {
        Some(FolderChange::MovedIn(path))
    } else if flags.contains(ReadFlags::CREATE) {
        Some(FolderChange::Created(path))
    } else {
        Some(FolderChange::Closed(path))
    }
}

fn watch_error(path: &Path, error: Errno) -> CaptureError {
    CaptureError::WatchFolder { path: path.to_owned(), source: error.into(), fix: advice_for(error) }
}

/// Returns the advice for a system error.
fn advice_for(error: Errno) -> &'static str {
    match error {
        Errno::NOSPC => {
            "Raise the limit on watches: sysctl fs.inotify.max_user_watches=65536. Until then, the folder is listed every \
             ten seconds"
        }
        Errno::MFILE => {
            "Raise the limit on inotify instances: sysctl fs.inotify.max_user_instances=512, or ulimit -n. Until then, the \
             folder is listed every ten seconds"
        }
        Errno::NOENT => "Create the folder, or mount its file system",
        Errno::NOTDIR => "Give a folder instead of a file",
        Errno::ACCESS => "Allow the agent's user to read the folder",
        _ => "Check that the folder is on a local file system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_system_are_parsed() {
        use ReadFlags as Flags;
        let (root, sub) = (PathBuf::new(), PathBuf::from("2026"));
        let parse =
            |flags, folder, name: &'static str| parse_event(flags, Some(folder), Some(name.as_bytes()));
        assert_eq!(parse_event(Flags::QUEUE_OVERFLOW, None, None), Some(FolderChange::Overflow));
        assert_eq!(parse_event(Flags::IGNORED, Some(&root), None), Some(FolderChange::Gone));
        assert_eq!(parse_event(Flags::DELETE_SELF, Some(&sub), None), None);
        assert_eq!(parse_event(Flags::CLOSE_WRITE, None, Some(b"a")), None);
        assert_eq!(parse(Flags::CLOSE_WRITE, &root, "a"), Some(FolderChange::Closed("a".into())));
        assert_eq!(parse(Flags::MOVED_TO, &sub, "a"), Some(FolderChange::MovedIn("2026/a".into())));
        assert_eq!(parse(Flags::CREATE, &sub, "a"), Some(FolderChange::Created("2026/a".into())));
        let is_folder = Flags::CREATE | Flags::ISDIR;
        assert_eq!(parse(is_folder, &sub, "01"), Some(FolderChange::Subfolder("2026/01".into())));
    }

    #[test]
    fn a_limit_names_its_setting() {
        assert!(advice_for(Errno::NOSPC).contains("fs.inotify.max_user_watches"));
        assert!(advice_for(Errno::MFILE).contains("fs.inotify.max_user_instances"));
        assert!(is_limit(&watch_error(Path::new("a"), Errno::MFILE)));
        assert!(!is_limit(&watch_error(Path::new("a"), Errno::NOENT)));
    }
}
