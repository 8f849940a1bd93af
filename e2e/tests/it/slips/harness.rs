//! A site with its archive, and devices with their agents, as an operator runs them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use edge_encoder::agent::{AgentReport, request_status};
use lopside_e2e::{binary_command, in_clone, serve_command_on};
use tempfile::TempDir;

use super::{
    oracle::{Archived, Counts},
    pictures::picture,
    process::{Log, Process, until},
};

/// The files of an SQLite database, as additions to the name of the first one.
const DATABASE_FILES: [&str; 3] = ["", "-wal", "-shm"];

/// The port, the log and the archive of a server, which stay the same across restarts.
pub(super) struct Site {
    pub(super) log: Log,
    /// The first file of the archive's database.
    pub(super) database: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("archive.db");
        Self::create(folder, database)
    }

    /// Creates a site whose archive is in this folder.
    pub(super) fn with_archive_in(archive: &Path) -> Self {
        Self::create(tempfile::tempdir().unwrap(), archive.join("archive.db"))
    }

    fn create(folder: TempDir, database: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { log: Log::new(folder.path().join("cloud.log")), database, port, folder }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn archive_url(&self) -> String {
        format!("sqlite:{}", self.database.display())
    }

    /// Returns the command that starts the server. Its heads are not used, so they are not measured.
    pub(super) fn command(&self) -> Command {
        let mut command = serve_command_on(self.port, &[&in_clone("bundles/fashion")]);
        command.args(["--max-batch=1", "--archive-scores=false", "--archive", &self.archive_url()]);
        command
    }

    /// Starts the server, and waits until it is ready.
    pub(super) fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// Starts the server with additional options, and waits until it is ready.
    pub(super) fn start_with(&self, options: &[&str]) -> Process {
        self.try_start(options).expect("the server starts")
    }

    /// Starts the server; returns `None` if it ends before it is ready.
    pub(super) fn try_start(&self, options: &[&str]) -> Option<Process> {
        let mut command = self.command();
        command.args(options).stdout(Stdio::piped()).stderr(self.log.append());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let server = Process::new(child);
        (!url.is_empty()).then_some(server)
    }

    /// Copies the database of the archive. The server must not be running.
    pub(super) fn back_up(&self) {
        for name in DATABASE_FILES {
            let file = self.database_file(name);
            if file.exists() {
                fs::copy(file, self.backup_file(name)).unwrap();
            }
        }
    }

    /// Replaces the database of the archive by its backup. The server must not be running.
    pub(super) fn restore(&self) {
        self.remove_archive();
        for name in DATABASE_FILES {
            let backup = self.backup_file(name);
            if backup.exists() {
                fs::copy(backup, self.database_file(name)).unwrap();
            }
        }
    }

    /// Removes those files of the database that exist.
    pub(super) fn remove_archive(&self) {
        for name in DATABASE_FILES {
            let _ = fs::remove_file(self.database_file(name));
        }
    }

    /// Reads the archive. The server must have ended.
    pub(super) async fn archived(&self) -> Archived {
        Archived::read(&self.archive_url()).await
    }

    fn database_file(&self, name: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(name);
        path.into()
    }

    fn backup_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("backup{name}"))
    }
}

/// The files of a device, which stay the same across restarts of its agent.
pub(super) struct Device {
    pub(super) log: Log,
    /// The name in the config file.
    pub(super) name: &'static str,
    /// Additional keys of the table `spool` of the config file.
    pub(super) spool_keys: &'static str,
    pub(super) spool: PathBuf,
    pub(super) bundle: PathBuf,
    endpoint: String,
    folder: TempDir,
}

impl Device {
    /// Creates the device `gate-7` of a site, on machine 1.
    pub(super) fn new(site: &Site) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let device = Self {
            log: Log::new(folder.path().join("edge.log")),
            name: "gate-7",
            spool_keys: "",
            spool: folder.path().join("spool"),
            bundle: in_clone("bundles/fashion"),
            endpoint: site.endpoint(),
            folder,
        };
        fs::create_dir(device.inbox()).unwrap();
        device.set_machine('1');
        device
    }

    /// Moves the device to another machine, whose id consists of this digit.
    pub(super) fn set_machine(&self, digit: char) {
        fs::write(self.path("machine-id"), digit.to_string().repeat(32)).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn inbox(&self) -> PathBuf {
        self.path("inbox")
    }

    /// Moves the images with these numbers into the inbox.
    pub(super) fn put(&self, numbers: Range<usize>) {
        for number in numbers {
            let part = self.path("part.png");
            picture(number).save(&part).unwrap();
            fs::rename(part, self.inbox().join(format!("{number:03}.png"))).unwrap();
        }
    }

    /// Returns a command of `edge-encoder` with the config file of this device.
    pub(super) fn command(&self, name: &str) -> Command {
        let config = self.path("edge.toml");
        fs::write(&config, self.config()).unwrap();
        let mut command = binary_command("edge-encoder");
        command.arg(name).arg("--config").arg(config);
        command
    }

    fn config(&self) -> String {
        let Self { name, spool_keys, endpoint, .. } = self;
        let paths = [self.path("edge.sock"), self.path("machine-id"), self.inbox(), self.path("done")];
        let [socket, machine, inbox, done] = paths.map(|path| path.display().to_string());
        let [bundle, spool] = [&self.bundle, &self.spool].map(|path| path.display().to_string());
        format!(
            "bundle = {bundle:?}\nendpoint = {endpoint:?}\ndevice = {name:?}\nsocket = {socket:?}\n\
             [spool]\nfolder = {spool:?}\nmachine_id_file = {machine:?}\n{spool_keys}\n\
             [uplink]\npatience_seconds = 5\nlongest_pause_seconds = 1\n\
             [[source]]\nfolder = {inbox:?}\nmoved_to = {done:?}\nsettle_seconds = 0.1\n"
        )
    }

    pub(super) fn start(&self) -> Agent {
        let mut command = self.command("run");
        let child = command.stdout(Stdio::null()).stderr(self.log.append()).spawn().unwrap();
        Agent { process: Process::new(child), socket: self.path("edge.sock") }
    }
}

/// A running agent; killed when dropped.
pub(super) struct Agent {
    process: Process,
    socket: PathBuf,
}

impl Agent {
    /// Returns the current status.
    pub(super) fn report(&self) -> AgentReport {
        request_status(&self.socket).unwrap()
    }

    /// Waits until the status satisfies a condition, and returns it.
    pub(super) async fn until_report(&self, condition: impl Fn(&AgentReport) -> bool) -> AgentReport {
        let found = until(|| request_status(&self.socket).ok().filter(|report| condition(report)));
        found.await.unwrap_or_else(|| panic!("the agent did not reach the expected state"))
    }

    /// Waits until the counts satisfy a condition, and returns them.
    pub(super) async fn until(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        let mut last = None;
        let found = until(|| {
            last = request_status(&self.socket).ok().map(|report| Counts::sum(&report));
            last.filter(&condition)
        });
        let found = found.await;
        found.unwrap_or_else(|| panic!("the agent did not reach the expected state: {last:?}"))
    }

    /// Waits until this number of frames is delivered and no other frame waits, and returns the counts.
    pub(super) async fn until_delivered(&self, delivered: u64) -> Counts {
        self.until(|counts| counts.delivered == delivered && counts.pending + counts.in_doubt == 0).await
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(super) fn stop(self) {
        self.process.stop();
    }
}

/// Copies a folder with everything in it.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
