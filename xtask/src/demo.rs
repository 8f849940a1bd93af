//! `cargo xtask demo`: sends the samples from a real edge-encoder to a real cloud-decoder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Result,
    outage::Outage,
    processes::{self, Server},
    runtime,
    workspace::{self, root, target},
};

const FASHION: &str = "bundles/fashion";
const FASHION_SAMPLES: &str = "samples/fashion";
const PHOTO: &str = "bundles/photo";
const PHOTO_SAMPLES: [&str; 2] = ["samples/photo/blossom.png", "samples/photo/tulips.png"];
/// The quality of the photographs: 0.2 to 0.4 bits per pixel, at which the differences between codecs are visible.
const PHOTO_QUALITY: &str = "40";

/// Builds the binaries, starts cloud-decoder on a free port and runs edge-encoder on the samples: first the images of
/// clothes, then the photographs, which are compared with JPEG and WebP files of the same size. Then the cloud is
/// stopped while the agent keeps running.
pub(crate) fn run(out: &Path, json: bool, binaries: Option<PathBuf>) -> Result<()> {
    let library = runtime::library()?;
    let demo = Demo { binaries: binaries.map_or_else(build, Ok)?, out, json };
    let cloud = demo.cloud(&library)?;
    demo.fashion(&cloud)?;
    demo.photos(&cloud)?;
    drop(cloud);
    demo.compare()?;
    demo.outage(&library)
}

struct Demo<'a> {
    binaries: PathBuf,
    out: &'a Path,
    json: bool,
}

impl Demo<'_> {
    fn cloud(&self, library: &Path) -> Result<Server> {
        let mut cloud = self.serve(library);
        Server::start(cloud.args(["--listen", "127.0.0.1:0", "--bundle", PHOTO]))
    }

    /// Returns the command of a server with the bundle `fashion`, still without `--listen`.
    fn serve(&self, library: &Path) -> Command {
        let mut cloud = self.binary("cloud-decoder");
        cloud.args(["serve", "--bundle", FASHION, "--onnxruntime"]).arg(library);
        cloud.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()));
        cloud
    }

    /// Stops and restarts the cloud while an agent is running.
    fn outage(&self, library: &Path) -> Result<()> {
        let outage = Outage {
            binary: &|name| self.binary(name),
            cloud: &|| self.serve(library),
            bundle: FASHION,
            samples: Path::new(FASHION_SAMPLES),
            out: self.out.join("outage"),
            json: self.json,
        };
        outage.run()
    }

    fn fashion(&self, cloud: &Server) -> Result<()> {
        let mut edge = self.edge(FASHION, cloud);
        edge.arg("--out").arg(self.out).arg(FASHION_SAMPLES);
        processes::run(self.reporting(&mut edge))
    }

    /// Sends the photographs. Their report on stdout is discarded, because [`compare`](Self::compare) prints the same
    /// figures and more.
    fn photos(&self, cloud: &Server) -> Result<()> {
        let mut edge = self.edge(PHOTO, cloud);
        edge.args(["--quality", PHOTO_QUALITY, "--out"]).arg(self.photo_folder());
        processes::run(edge.args(PHOTO_SAMPLES).stdout(Stdio::null()))
    }

    fn compare(&self) -> Result<()> {
        let mut compare = self.binary("lopside-demo");
        compare.arg("--sent").arg(self.photo_folder()).arg("--sheet").arg(self.out.join("photo.png"));
        processes::run(self.reporting(&mut compare).args(PHOTO_SAMPLES))
    }

    fn binary(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command.current_dir(root()).stdin(Stdio::null());
        command
    }

    fn edge(&self, bundle: &str, cloud: &Server) -> Command {
        let mut edge = self.binary("edge-encoder");
        edge.args(["send", "--bundle", bundle, "--endpoint", &cloud.address]);
        edge
    }

    fn reporting<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if self.json { command.arg("--json") } else { command }
    }

    fn photo_folder(&self) -> PathBuf {
        self.out.join("photo")
    }
}

/// Builds all three binaries with the features of the workspace, so that each dependency is compiled once; returns
/// their folder.
fn build() -> Result<PathBuf> {
    workspace::build_binaries(&["edge-encoder", "cloud-decoder", "lopside-demo"])?;
    Ok(target().join("release"))
}
