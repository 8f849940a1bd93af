//! A PostgreSQL server for the tests, on a socket in a temporary folder.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

/// The folder of the server's programs, set by `cargo xtask test`.
const PROGRAMS: &str = "LOPSIDE_POSTGRES";
/// Users that may run the server if the tests run as root, because the server refuses to run as root.
/// Debian's package creates the first one.
const USERS: [&str; 2] = ["postgres", "nobody"];

pub(crate) struct Server {
    programs: PathBuf,
    /// The user that runs the programs; `None` is the user that runs the tests.
    user: Option<&'static str>,
    databases: AtomicU32,
    folder: TempDir,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start() -> Self {
        let programs = programs().expect("no PostgreSQL server: run `cargo xtask test`, which fetches one");
        let folder = tempfile::tempdir().unwrap();
        let user = is_root().then(|| *USERS.iter().find(|user| id(&["-u", user]).is_some()).unwrap());
        let programs = user.map_or(programs.clone(), |_| copy_installation(&programs, folder.path()));
        if let Some(user) = user {
            chown(folder.path(), id(&["-u", user]), id(&["-g", user])).unwrap();
        }
        let server = Self { programs, user, databases: AtomicU32::new(0), folder };
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        );
        let options = format!("-c listen_addresses= -c unix_socket_directories={}", server.path().display());
        let log = server.path().join("log").display().to_string();
        server.run("pg_ctl", &["start", "-w", "-D", &data, "-l", &log, "-o", &options]);
        server
    }

    /// Creates an empty database and returns its address.
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

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .args(["--regid", &id(&["-g", user]).unwrap().to_string()]);
                command.arg("--clear-groups").arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The result is ignored: after a failed start there is no server to stop.
        let _ = self.command("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &self.data()]).status();
    }
}

/// Returns the folder of the server's programs: the configured one, or the first one in the search path.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let configured = std::env::var_os(PROGRAMS).map(PathBuf::from);
    let mut folders = configured.into_iter().chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}

/// Copies an installation out of a home folder, which other users may not be able to read. An installation in
/// `/usr` is used in place.
fn copy_installation(programs: &Path, folder: &Path) -> PathBuf {
    if programs.starts_with("/usr") {
        return programs.to_owned();
    }
    let status =
        Command::new("cp").arg("-r").arg(programs.parent().unwrap()).arg(folder.join("server")).status();
    assert!(status.unwrap().success());
    folder.join("server/bin")
}

fn is_root() -> bool {
    id(&["-u"]) == Some(0)
}

/// Returns the number that `id` prints; `None` if the user does not exist.
fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().ok()
}
