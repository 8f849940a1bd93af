//! `cargo xtask inputs`: sources as they are in the field, for a number of minutes each.

use std::path::Path;

use crate::{Result, ffmpeg, runtime, workspace};

/// The tests that account for every input, one after the other.
const TESTS: [&str; 9] = [
    "test",
    "--release",
    "--workspace",
    "--test",
    "it",
    "--",
    "inputs::endurance::",
    "--nocapture",
    "--test-threads=1",
];

/// Runs each source for a number of minutes.
pub(crate) fn run(minutes: u32) -> Result<()> {
    let (library, ffmpeg) = (runtime::library()?, ffmpeg::program()?);
    workspace::build_binaries(&["edge-encoder", "cloud-decoder"])?;
    let seconds = (60 * u64::from(minutes)).to_string();
    let environment = [
        ("ORT_DYLIB_PATH", &*library),
        ("LOPSIDE_FFMPEG", &*ffmpeg),
        ("LOPSIDE_INPUT_SECONDS", Path::new(&seconds)),
    ];
    workspace::cargo(&TESTS, &environment)
}
