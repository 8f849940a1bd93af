//! A SQLite file in a temporary folder, and other programs that open it.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// Returns the folder, the path of the file in it, and the file's address.
pub(crate) fn file() -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.db");
    let url = path.display().to_string();
    (folder, path, url)
}

/// Opens the same file, as another program would, and executes a statement.
pub(crate) async fn beside(path: &Path, sql: &'static str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection
}
