//! A PostgreSQL server of its own, on a socket in a temporary folder.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

const SKIP: &str = "LOPSIDE_NO_POSTGRES";

pub(crate) struct Server {
    programs: PathBuf,
    databases: AtomicU32,
    folder: TempDir,
}

impl Server {
    /// A server that answers. None when the tests are to do without.
    pub(crate) fn start() -> Option<Self> {
        if std::env::var_os(SKIP).is_some() {
            println!("skipped: {SKIP} is set");
            return None;
        }
        let programs = programs().unwrap_or_else(|| {
            panic!("no PostgreSQL server is installed: install the package postgresql, or set {SKIP} to do without")
        });
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            chown(folder.path(), Some(id(&["-u", "postgres"])), Some(id(&["-g", "postgres"]))).unwrap();
        }
        let server = Self { programs, databases: AtomicU32::new(0), folder };
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        );
        let options = format!("-c listen_addresses= -c unix_socket_directories={}", server.path().display());
        let log = server.path().join("log").display().to_string();
        server.run("pg_ctl", &["start", "-w", "-D", &data, "-l", &log, "-o", &options]);
        Some(server)
    }

    /// The address of an empty database.
    pub(crate) fn new_database(&self) -> String {
        let name = format!("archive_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let host = self.path().display().to_string();
        self.run("createdb", &["-h", &host, "-U", "postgres", &name]);
        format!("postgres://postgres@localhost/{name}?host={host}")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> String {
        self.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program, arguments).status().unwrap();
        let log = fs::read_to_string(self.path().join("log")).unwrap_or_default();
        assert!(status.success(), "{program} failed ({status}): {log}");
    }

    /// The server does not run as root.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also when its start has failed: then there is nothing to stop.
        let _ = self.command("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &self.data()]).status();
    }
}

/// The folder of the newest server's programs: of those that Debian installs, or of the search path.
fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian.max_by_key(|folder| folder.file_name().to_string_lossy().parse::<u32>().ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        newest.map(|folder| folder.path().join("bin")).into_iter().chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}

fn is_root() -> bool {
    id(&["-u"]) == 0
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    assert!(output.status.success(), "there is no user postgres: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
