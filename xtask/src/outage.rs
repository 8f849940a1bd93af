//! The last part of the demo: the cloud is stopped while the agent keeps running, and started again; then the archive
//! must contain every frame.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{Result, processes::Server, workspace::root};

const DEVICE: &str = "demo";
const SOCKET: &str = "edge.sock";

/// The parameters of the outage.
pub(crate) struct Outage<'a> {
    /// Returns the command of a binary.
    pub(crate) binary: &'a dyn Fn(&str) -> Command,
    /// Returns the command of the server, without its address.
    pub(crate) cloud: &'a dyn Fn() -> Command,
    pub(crate) bundle: &'a str,
    /// The folder of the images. Half of them are captured before the outage.
    pub(crate) samples: &'a Path,
    pub(crate) out: PathBuf,
    pub(crate) json: bool,
}

impl Outage<'_> {
    pub(crate) fn run(&self) -> Result<()> {
        let folder = root().join(&self.out);
        let _ = fs::remove_dir_all(&folder);
        let inbox = folder.join("inbox");
        fs::create_dir_all(&inbox).map_err(|error| format!("{}: {error}", inbox.display()))?;
        let images = list_images(&root().join(self.samples))?;
        let (before, during) = images.split_at(images.len() / 2);

        let cloud = self.cloud(&folder, "127.0.0.1:0")?;
        let address = cloud.address.trim_start_matches("http://").to_owned();
        let agent = self.agent(&folder, &address)?;
        let mut status = self.status(&folder)?;
        copy_images(before, &inbox)?;
        status.until(|_, delivered| delivered == before.len())?;
        drop(cloud);
        copy_images(during, &inbox)?;
        let pending_frames = status.until(|pending, _| pending == during.len())?;
        self.print_line(&format!(
            "the cloud is stopped: the agent keeps running, and {pending_frames} frames are pending on its disk"
        ));
        let cloud = self.cloud(&folder, &address)?;
        status.until(|_, delivered| delivered == images.len())?;
        let archived = count_archived(&address)?;
        drop((agent, cloud));
        self.print_line(&format!(
            "the cloud is running again: {archived} of {} frames are archived",
            images.len()
        ));
        if self.json {
            let report = json!({
                "outage": {"frames": images.len(), "waited": pending_frames, "archived": archived}
            });
            println!("{report}");
        }
        if archived == images.len() as u64 {
            Ok(())
        } else {
            Err("the archive does not contain all frames of the demo".to_owned())
        }
    }

    fn print_line(&self, line: &str) {
        if !self.json {
            println!("{line}");
        }
    }

    fn cloud(&self, folder: &Path, listen: &str) -> Result<Server> {
        let mut command = (self.cloud)();
        command.args(["--listen", listen, "--archive"]);
        Server::start(command.arg(format!("sqlite:{}", folder.join("archive.db").display())))
    }

    fn agent(&self, folder: &Path, address: &str) -> Result<Agent> {
        let config = folder.join("edge.toml");
        let [socket, spool, inbox, sent] =
            [SOCKET, "spool", "inbox", "sent"].map(|name| folder.join(name).display().to_string());
        let text = format!(
            "bundle = {:?}\nendpoint = \"http://{address}\"\ndevice = {DEVICE:?}\nsocket = {socket:?}\n\n\
             [spool]\nfolder = {spool:?}\n\n[uplink]\nlongest_pause_seconds = 1\n\n\
             [[source]]\nfolder = {inbox:?}\nmoved_to = {sent:?}\n",
            self.bundle,
        );
        fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = (self.binary)("edge-encoder");
        // The outage is intended, so its warnings are not shown.
        command.args(["run", "--config"]).arg(config).env("RUST_LOG", "error").stdout(Stdio::null());
        Ok(Agent(command.spawn().map_err(|error| format!("edge-encoder could not be started: {error}"))?))
    }

    fn status(&self, folder: &Path) -> Result<Status> {
        let mut command = (self.binary)("edge-encoder");
        command.args(["status", "--follow", "--json", "--socket"]).arg(folder.join(SOCKET));
        let result = command.stdout(Stdio::piped()).spawn();
        let mut child = result.map_err(|error| format!("edge-encoder could not be started: {error}"))?;
        let lines = child.stdout.take().ok_or("the standard output of edge-encoder is not connected")?;
        Ok(Status { _follower: Agent(child), lines: BufReader::new(lines) })
    }
}

/// A child process; stopped when dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// The status reports of the agent, one line of JSON each.
struct Status {
    _follower: Agent,
    lines: BufReader<ChildStdout>,
}

impl Status {
    /// Waits until the numbers of pending and delivered frames satisfy `is_met`; returns the number of pending frames.
    fn until(&mut self, is_met: impl Fn(usize, usize) -> bool) -> Result<usize> {
        loop {
            let mut line = String::new();
            let read_bytes =
                self.lines.read_line(&mut line).map_err(|error| format!("edge-encoder status: {error}"))?;
            if read_bytes == 0 {
                return Err("the agent ended before the demo was complete".to_owned());
            }
            let report: Value = serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}"))?;
            let classes = report["spool"]["classes"].as_array().map_or(&[][..], Vec::as_slice);
            let (pending, delivered) = (sum_field(classes, "pending"), sum_field(classes, "delivered"));
            if is_met(pending, delivered) {
                return Ok(pending);
            }
        }
    }
}

fn sum_field(classes: &[Value], field: &str) -> usize {
    classes.iter().filter_map(|class| class[field].as_u64()).sum::<u64>() as usize
}

fn list_images(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    Ok(paths)
}

/// Copies images into the inbox; each file appears there atomically.
fn copy_images(images: &[PathBuf], inbox: &Path) -> Result<()> {
    for image in images {
        let name = image.file_name().unwrap_or_default();
        let (part, target) = (inbox.join("picture.part"), inbox.join(name));
        let result = fs::copy(image, &part).and_then(|_| fs::rename(&part, &target));
        result.map_err(|error| format!("{}: {error}", target.display()))?;
    }
    Ok(())
}

/// Returns the number of frames of the device in the archive.
fn count_archived(address: &str) -> Result<u64> {
    let mut connection = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
    let request = format!("GET /v1/devices HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).map_err(|error| format!("{address}: {error}"))?;
    let mut response = String::new();
    connection.read_to_string(&mut response).map_err(|error| format!("{address}: {error}"))?;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let devices: Value = serde_json::from_str(body).map_err(|error| format!("{response:?}: {error}"))?;
    let mut device_list = devices["devices"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let device = device_list.find(|device| device["name"] == DEVICE);
    Ok(device.and_then(|device| device["frames"].as_u64()).unwrap_or(0))
}
