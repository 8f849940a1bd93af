use std::{
    ffi::OsString,
    fmt::Display,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    BenchError,
    error::{ProgramError, io_error},
    program::program_path,
};

/// The bundle to serve: a server needs one, even if only its archive is used.
const BUNDLE: &str = "bundles/fashion";

const PROGRAM: &str = "cloud-decoder";

/// A cloud-decoder with an archive; stopped when dropped.
pub(crate) struct CloudDecoder {
    child: Child,
    pub(crate) url: String,
}

impl CloudDecoder {
    /// Starts a server with this archive, without scores; its log is written to the folder.
    pub(crate) fn start(archive: &str, folder: &Path) -> Result<Self, BenchError> {
        Self::start_with(archive, folder, &[])
    }

    /// Like [`start`](Self::start), with additional arguments.
    pub(crate) fn start_with(
        archive: &str,
        folder: &Path,
        arguments: &[OsString],
    ) -> Result<Self, BenchError> {
        let path = folder.join("cloud-decoder.log");
        let log = fs::File::create(&path).map_err(io_error(&path))?;
        let mut command = Command::new(program_path("LOPSIDE_CLOUD_DECODER")?);
        command.args(["serve", "--device", "cpu", "--listen", "127.0.0.1:0", "--bundle", BUNDLE]);
        command.args(["--archive-scores=false", "--archive", archive]).args(arguments);
        let mut child = command
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|source| ProgramError::Start { program: PROGRAM, source })?;
        let stdout = child.stdout.take().ok_or_else(|| output_error("it is not connected"))?;
        let mut cloud = Self { child, url: String::new() };
        BufReader::new(stdout).read_line(&mut cloud.url).map_err(output_error)?;
        cloud.url.truncate(cloud.url.trim_end().len());
        if cloud.url.is_empty() {
            let (circumstance, log) =
                ("before it printed its address".to_owned(), fs::read_to_string(&path).unwrap_or_default());
            return Err(ProgramError::Ended { program: PROGRAM, circumstance, log }.into());
        }
        Ok(cloud)
    }

    /// Returns the id of the server's process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for CloudDecoder {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn output_error(error: impl Display) -> ProgramError {
    ProgramError::Output { program: PROGRAM, reason: error.to_string() }
}
