//! `cargo xtask dist`: the binary and the Debian package of the edge.

use std::{env, fs, path::Path, process::Command};

use crate::{
    Result, processes,
    workspace::{cargo, root, target},
};

const PROFILE: &str = "size";
/// Linkers of Debian's cross compilers: target, variable of cargo that overrides the linker, linker.
const LINKERS: [(&str, &str, &str); 1] =
    [("aarch64-unknown-linux-gnu", "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")];

/// Builds edge-encoder with the profile `size`, and packs it into a .deb with its systemd unit, its config file and the
/// encoders of the bundles.
pub(crate) fn run(target_triple: Option<&str>) -> Result<()> {
    let triple = target_triple.map_or_else(host, |triple| Ok(triple.to_owned()))?;
    let linker: Vec<(&str, &Path)> = LINKERS
        .iter()
        .filter(|(target, variable, _)| *target == triple && env::var_os(variable).is_none())
        .map(|(_, variable, linker)| (*variable, Path::new(*linker)))
        .collect();
    // A device does not need `send`, which is for people at a desk.
    let args =
        ["build", "--profile", PROFILE, "-p", "edge-encoder", "--no-default-features", "--target", &triple];
    cargo(&args, &linker)?;
    let dist = root().join("dist");
    fs::create_dir_all(&dist).map_err(|error| format!("{}: {error}", dist.display()))?;
    let binary = target().join(&triple).join(PROFILE).join("edge-encoder");
    let output = dist.join(format!("edge-encoder-{triple}"));
    let bytes = fs::copy(&binary, &output).map_err(|error| format!("{}: {error}", binary.display()))?;
    println!("{} {bytes}", output.display());
    deb(&triple, &dist)
}

fn deb(triple: &str, dist: &Path) -> Result<()> {
    let out = dist.display().to_string();
    let args =
        ["deb", "-p", "edge-encoder", "--no-build", "--no-strip", "--profile", PROFILE, "--target", triple];
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(args).args(["--output", &out]);
    processes::run(&mut command).map_err(|error| {
        format!("{error}; the package needs cargo-deb: install it with `cargo install cargo-deb --locked`")
    })
}

fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc could not be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| "the output of `rustc -vV` does not name the host; pass --target".to_owned())
}
