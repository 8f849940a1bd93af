//! The programs that read the images, and the load that they are given.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use edge_encoder::agent::{AgentReport, request_status};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval},
};

use super::ImageCost;
use crate::{
    BenchError,
    error::{ProgramError, io_error},
    proc::cpu_seconds,
    program::program_path,
};

const AGENT: &str = "the agent";
const FFMPEG: &str = "ffmpeg";
/// The arguments with which ffmpeg decodes JPEG files and encodes them as MJPEG, before the name of the output.
const FFMPEG_ARGUMENTS: &str = "-hide_banner -loglevel error -threads 1 -probesize 32 -f mjpeg -i pipe:0 \
                                -threads 1 -c:v mjpeg -q:v 5 -y -f mjpeg";
/// Number of images before the measurement.
const WARM_UP: usize = 10;
/// Maximum time until all images are encoded and delivered.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The images, and the pace at which they come.
pub(super) struct Load {
    /// JPEG files, which come again and again.
    pub(super) images: Vec<Vec<u8>>,
    pub(super) interval: Duration,
    /// Number of images that are measured.
    pub(super) measured: usize,
}

impl Load {
    /// Writes images at the pace of the load. One more interval follows the last one.
    async fn feed(&self, program: &mut Program, count: usize) -> Result<(), BenchError> {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for image in self.images.iter().cycle().take(count) {
            ticks.tick().await;
            program.write(image).await?;
        }
        ticks.tick().await;
        Ok(())
    }
}

/// A program that reads images from its standard input; killed when dropped.
struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    fn start(
        name: &'static str,
        program: OsString,
        arguments: &[OsString],
        log: PathBuf,
    ) -> Result<Self, BenchError> {
        let file = fs::File::create(&log).map_err(io_error(&log))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command.kill_on_drop(true).spawn();
        let child = child.map_err(|source| ProgramError::Start { program: name, source })?;
        Ok(Self { name, child, log })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        let written = match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(bytes).await.is_ok(),
            None => false,
        };
        if written { Ok(()) } else { Err(self.ended().into()) }
    }

    fn cpu_seconds(&self) -> Result<f64, BenchError> {
        let process = self.child.id().ok_or_else(|| self.ended())?;
        cpu_seconds(process)
    }

    fn ended(&self) -> ProgramError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        ProgramError::Ended {
            program: self.name,
            circumstance: "before it had read all images".to_owned(),
            log,
        }
    }
}

/// Returns what ffmpeg needs to decode the images and to encode them as MJPEG.
pub(super) async fn measure_ffmpeg(load: &Load, output: &Path) -> Result<ImageCost, BenchError> {
    let mut arguments: Vec<OsString> = FFMPEG_ARGUMENTS.split(' ').map(OsString::from).collect();
    arguments.push(output.into());
    let log = output.with_extension("log");
    let mut program = Program::start(FFMPEG, program_path("LOPSIDE_FFMPEG")?, &arguments, log)?;
    load.feed(&mut program, WARM_UP).await?;
    let before = program.cpu_seconds()?;
    load.feed(&mut program, load.measured).await?;
    let seconds = program.cpu_seconds()? - before;
    drop(program.child.stdin.take());
    let status =
        program.child.wait().await.map_err(|source| ProgramError::State { program: FFMPEG, source })?;
    if !status.success() {
        return Err(program.ended().into());
    }
    let bytes = fs::metadata(output).map_err(io_error(output))?.len() as f64;
    Ok(ImageCost {
        cpu_ms: 1e3 * seconds / load.measured as f64,
        bytes: bytes / (WARM_UP + load.measured) as f64,
    })
}

/// Returns what an agent in a new folder needs to encode, store and deliver the images.
pub(super) async fn measure_agent(
    load: &Load,
    bundle: &Path,
    home: &Path,
    endpoint: &str,
    arguments: &[&str],
) -> Result<ImageCost, BenchError> {
    fs::create_dir_all(home).map_err(io_error(home))?;
    let (config, socket) = (home.join("edge.toml"), home.join("edge.sock"));
    fs::write(&config, config_text(bundle, home, endpoint, &socket)?).map_err(io_error(&config))?;
    let mut all_arguments: Vec<OsString> = vec!["run".into(), "--config".into(), config.into()];
    all_arguments.extend(arguments.iter().map(OsString::from));
    let program = program_path("LOPSIDE_EDGE_ENCODER")?;
    let mut program = Program::start(AGENT, program, &all_arguments, home.join("edge-encoder.log"))?;
    load.feed(&mut program, WARM_UP).await?;
    let first = until_delivered(&socket, WARM_UP as u64).await?;
    let before = program.cpu_seconds()?;
    load.feed(&mut program, load.measured).await?;
    let last = until_delivered(&socket, (WARM_UP + load.measured) as u64).await?;
    let seconds = program.cpu_seconds()? - before;
    let bytes = (encoded_bytes(&last) - encoded_bytes(&first)) as f64;
    Ok(ImageCost { cpu_ms: 1e3 * seconds / load.measured as f64, bytes: bytes / load.measured as f64 })
}

fn config_text(bundle: &Path, home: &Path, endpoint: &str, socket: &Path) -> Result<String, BenchError> {
    let bundle = fs::canonicalize(bundle).map_err(io_error(bundle))?;
    let device = home.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let [bundle, socket, spool] =
        [bundle, socket.to_owned(), home.join("spool")].map(|path| path.display().to_string());
    Ok(format!(
        "bundle = {bundle:?}\nendpoint = {endpoint:?}\ndevice = {device:?}\nsocket = {socket:?}\n\
         [spool]\nfolder = {spool:?}\n[[source]]\nstdin = true\nformat = 'mjpeg'\n"
    ))
}

/// Waits until an agent has encoded and delivered this number of images.
async fn until_delivered(socket: &Path, count: u64) -> Result<AgentReport, BenchError> {
    let (deadline, mut ticks) = (Instant::now() + DRAIN_TIMEOUT, interval(POLL_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match request_status(socket) {
            Ok(report) if delivered(&report) >= count => return Ok(report),
            Ok(report) if Instant::now() > deadline => {
                let condition = format!("{count} images are delivered");
                return Err(ProgramError::Timeout { condition, status: report.to_text() }.into());
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            _ => {}
        }
    }
}

fn delivered(report: &AgentReport) -> u64 {
    report.spool.classes.iter().map(|class| class.delivered).sum()
}

fn encoded_bytes(report: &AgentReport) -> u64 {
    report.sources.iter().map(|source| source.bytes).sum()
}
