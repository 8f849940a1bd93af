//! Pieces that all fuzz targets share.

use std::{cell::RefCell, fs, path::PathBuf};

#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Maximum number of bytes that a target may have allocated at a time. A larger allocation fails, which is a crash.
#[cfg(feature = "libfuzzer")]
const MAX_ALLOCATED_BYTES: usize = 128 << 20;

#[cfg(feature = "libfuzzer")]
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, MAX_ALLOCATED_BYTES);

thread_local! {
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Writes a file into a folder of this process, for readers that open paths, and returns its path.
///
/// # Panics
/// If the folder or the file cannot be written.
#[must_use]
#[expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]
pub fn write_file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.with_borrow_mut(|folder| {
        folder.get_or_insert_with(|| TempDir::new().expect("a folder can be created")).path().join(name)
    });
    fs::write(&path, bytes).expect("the file can be written");
    path
}
