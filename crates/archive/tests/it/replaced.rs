//! The files of a SQLite database are moved, deleted or replaced while the archive is open.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lopside_archive::{Archive, ArchiveError, ArchiveState, NewConnection};
use lopside_delivery::Class;

use crate::{batch, known, numbers, open, sqlite_file::file};

fn is_replaced<T>(result: &Result<T, ArchiveError>) -> bool {
    matches!(result, Err(ArchiveError::Replaced { .. }))
}

/// Returns the path of a file that SQLite keeps next to the database.
fn companion(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Checks that nothing is acknowledged, whatever is sent, and that health and state give the reason.
async fn assert_refuses(archive: &Archive) {
    let mut state = archive.state();
    for number in 101..104 {
        assert!(is_replaced(&archive.apply(batch("gate", number, number)).await), "{number}");
    }
    assert!(matches!(&*state.borrow_and_update(), ArchiveState::Failing(ArchiveError::Replaced { .. })));
    assert!(is_replaced(&archive.register_connection(NewConnection::new("gate")).await));
    assert!(is_replaced(&archive.known_numbers("gate", 0, &[(Class::Normal, 1)]).await));
    assert!(is_replaced(&archive.delete(1).await));
    assert!(is_replaced(&archive.health().await));
    assert!(!state.has_changed().unwrap(), "one change, however many writes fail");
}

#[tokio::test]
async fn nothing_is_acknowledged_after_the_file_was_deleted() {
    let (_folder, path, url) = file();
    let archive = open(&url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    fs::remove_file(&path).unwrap();
    assert_refuses(&archive).await;
    let message = archive.health().await.unwrap_err().to_string();
    assert!(message.contains(&url) && message.contains("put them back"), "{message}");
    assert!(!path.exists(), "no empty archive takes its place");
}

#[tokio::test]
async fn a_file_that_was_moved_away_and_back_is_used_again() {
    let (folder, path, url) = file();
    let archive = open(&url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    let aside = folder.path().join("aside.db");
    fs::rename(&path, &aside).unwrap();
    assert_refuses(&archive).await;
    fs::rename(&aside, &path).unwrap();
    archive.health().await.unwrap();
    assert!(matches!(&*archive.state().borrow(), ArchiveState::Writable));
    assert_eq!(archive.apply(batch("gate", 1, 5)).await.unwrap().applied, 2);
    assert_eq!(known(&archive, "gate", 0, 1).await, [(1, vec![1..=5])]);
}

#[tokio::test]
async fn another_archive_in_place_of_the_file_stays_unchanged() {
    let (folder, path, url) = file();
    let other = folder.path().join("other.db");
    let other_archive = open(&other.display().to_string()).await;
    other_archive.apply(batch("door", 7, 8)).await.unwrap();
    other_archive.close().await;
    let archive = open(&url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    fs::rename(&other, &path).unwrap();
    assert_refuses(&archive).await;
    archive.close().await;
    // As the message of the error says; SQLite would apply the log of the old file to the new one.
    for suffix in ["-wal", "-shm"] {
        let leftover = companion(&path, suffix);
        if leftover.exists() {
            fs::remove_file(leftover).unwrap();
        }
    }
    assert_eq!(numbers(&open(&url).await).await, [7, 8]);
}

#[tokio::test]
async fn acknowledged_frames_survive_the_loss_of_the_log_if_the_server_stops_cleanly() {
    let (_folder, path, url) = file();
    let archive = open(&url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    fs::remove_file(companion(&path, "-wal")).unwrap();
    assert_refuses(&archive).await;
    archive.close().await;
    assert_eq!(numbers(&open(&url).await).await, [1, 2, 3]);
}
