//! The edge binary for ARM, in an emulator: the same frames, byte for byte.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use lopside_e2e::{in_clone, output};

#[test]
#[ignore = "needs LOPSIDE_AARCH64_EDGE, the binary that `cargo xtask dist --target aarch64-unknown-linux-gnu` makes, and qemu-user"]
fn arm_makes_the_golden_frames() {
    let edge = std::env::var_os("LOPSIDE_AARCH64_EDGE").expect("LOPSIDE_AARCH64_EDGE names the binary");
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new("qemu-aarch64-static");
    command.args(["-L", "/usr/aarch64-linux-gnu"]).arg(edge).arg("encode");
    command.arg("--bundle").arg(in_clone("bundles/fashion")).arg("--out").arg(out.path());
    let run = output(command.arg(in_clone("samples/fashion")));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(lopside_e2e::frames_as_text(out.path()), include_str!("../golden/fashion-frames.txt"));
}
