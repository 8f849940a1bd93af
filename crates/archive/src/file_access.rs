//! The reason why a database file cannot be opened or written: SQLite says only that it cannot.

use std::{fs, io, path::Path};

use rustix::{
    fs::{Access, access},
    io::Errno,
};

/// Returns why this process cannot write a database file or cannot create files beside it, such as its log; `None` if
/// it can, and if the folder is missing.
pub(crate) fn find_obstacle(database: &Path) -> Option<String> {
    // SQLite resolves links before it creates files beside the database.
    let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let needed =
        [(&*database, Access::READ_OK | Access::WRITE_OK), (folder, Access::WRITE_OK | Access::EXEC_OK)];
    needed.into_iter().find_map(|(path, permissions)| match access(path, permissions) {
        // A missing file is created.
        Ok(()) | Err(Errno::NOENT) => None,
        Err(error) => Some(format!("{}: {}", path.display(), io::Error::from(error))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obstacle_is_named_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive.db");
        assert_eq!(find_obstacle(&file), None, "the file can be created");
        assert_eq!(find_obstacle(&folder.path().join("none/archive.db")), None);
        fs::write(&file, b"").unwrap();
        assert_eq!(find_obstacle(&file), None);
        let found = find_obstacle(&file.join("archive.db")).unwrap();
        assert!(found.contains("archive.db/archive.db: Not a directory"), "{found}");
    }
}
