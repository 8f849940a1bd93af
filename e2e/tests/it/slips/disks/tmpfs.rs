use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use lopside_e2e::run_stdout;
use rustix::process::geteuid;
use tempfile::TempDir;

/// A small file system in memory; unmounted when dropped.
pub(super) struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts a file system of this size, such as `4m`. Returns `None`, with a message, if this process does not run
    /// as root.
    pub(super) fn mount(size: &str) -> Option<Self> {
        if !geteuid().is_root() {
            println!("skipped: only root may mount the file system that this test fills");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let _ = run_stdout(
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()),
        );
        Some(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes the file system read-only (`ro`) or writable (`rw`). No file may be open for writing.
    pub(super) fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        let _ = run_stdout(Command::new("mount").args(["-o", &options]).arg(self.path()));
    }

    /// Fills the file system up to the last page.
    pub(super) fn fill(&self) {
        let name = format!("filler-{}", self.fillers().len());
        let mut filler = File::create(self.path().join(name)).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Removes what [`fill`](Self::fill) has written.
    pub(super) fn free(&self) {
        for filler in self.fillers() {
            fs::remove_file(filler).unwrap();
        }
    }

    fn fillers(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains("filler-")).collect()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
