//! Errors of the database say what is wrong and what to do.

use std::{fs, time::Duration};

use lopside_archive::{Archive, ArchiveError, Settings};
use sqlx::Connection as _;
use tokio::task::JoinSet;

use crate::{
    batch, numbers, open,
    sqlite_file::{beside, file},
};

const SHORT_TIMEOUTS: Settings = Settings {
    max_age: None,
    max_bytes: None,
    max_device_bytes: None,
    max_device_frames: None,
    max_connections: 2,
    acquire_timeout: Duration::from_millis(100),
    feed_capacity: 1,
};

async fn refusal(url: &str) -> ArchiveError {
    Archive::open(url, SHORT_TIMEOUTS).await.unwrap_err()
}

#[tokio::test]
async fn several_forms_of_a_url_name_the_same_file() {
    let (_folder, path, url) = file();
    open(&url).await.apply(batch("gate", 1, 2)).await.unwrap();
    for url in [url.clone(), format!("sqlite:{url}"), format!("sqlite://{url}")] {
        assert_eq!(numbers(&open(&url).await).await, [1, 2], "{url}");
    }
    assert!(path.exists());
}

#[tokio::test]
async fn an_invalid_url_is_refused_without_its_password() {
    for url in [
        "mysql://root:secret@host/db",
        "postgres://me:secret@host:no-port/db",
        "sqlite:",
        ":memory:",
        "file:archive.db",
        "sqlite:file:archive.db?mode=memory",
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, ArchiveError::InvalidUrl { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_database_is_reported_without_its_password() {
    let (folder, ..) = file();
    let folder = folder.path().display();
    for url in
        [format!("{folder}/none/archive.db"), format!("postgres://me:secret@localhost/frames?host={folder}")]
    {
        let error = refusal(&url).await;
        assert!(matches!(error, ArchiveError::Unreachable { .. }), "{url}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(&folder.to_string()) && !message.contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_named_with_the_cause_and_the_fix() {
    let (folder, ..) = file();
    // A file in the place of a folder is an obstacle for every user; a read-only file system is another one.
    let obstacle = folder.path().join("file");
    fs::write(&obstacle, b"").unwrap();
    let error = refusal(&format!("{}/archive.db", obstacle.display())).await;
    assert!(matches!(error, ArchiveError::NotWritable { .. }), "{error:?}");
    let message = error.to_string();
    let expected = ["file/archive.db", "Not a directory", "check that its file system is mounted writable"];
    assert!(expected.iter().all(|part| message.contains(part)), "{message}");
}

#[tokio::test]
async fn a_newer_schema_is_left_unchanged() {
    let (_folder, path, url) = file();
    open(&url).await.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', 1, x'00', 0)";
    beside(&path, newer).await.close().await.unwrap();
    let error = refusal(&url).await;
    assert!(matches!(error, ArchiveError::TooNew { found: 99, known: 7, .. }), "{error}");
    assert!(error.to_string().contains("start a newer version"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_archive_is_left_unchanged() {
    let (_folder, path, url) = file();
    fs::write(&path, "This is a letter, and no database. ".repeat(200)).unwrap();
    let error = refusal(&url).await;
    assert!(matches!(error, ArchiveError::Corrupt { .. }), "{error:?}");
    assert!(fs::read_to_string(&path).unwrap().starts_with("This is a letter"));
}

#[tokio::test]
async fn an_impossible_watermark_is_reported_as_damage() {
    let (_folder, path, url) = file();
    let archive = open(&url).await;
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    beside(&path, "UPDATE streams SET ranges = '9-7'").await.close().await.unwrap();
    let error = archive.apply(batch("gate", 1, 3)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("9-7"), "{error}");
    assert_eq!(
        archive.apply(batch("door", 1, 2)).await.unwrap().applied,
        2,
        "other streams still accept batches"
    );
}

#[tokio::test]
async fn a_lock_of_another_process_is_reported_and_ends() {
    let (_folder, path, url) = file();
    let archive = Archive::open(&url, SHORT_TIMEOUTS).await.unwrap();
    let other = beside(&path, "BEGIN IMMEDIATE").await;
    let error = archive.apply(batch("gate", 1, 2)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Locked { .. }), "{error:?}");
    assert_eq!(numbers(&archive).await, [0; 0], "reads still succeed");
    other.close().await.unwrap();
    assert_eq!(archive.apply(batch("gate", 1, 2)).await.unwrap().applied, 2);
}

#[tokio::test]
async fn a_batch_that_the_database_rejects_fails_alone() {
    let (_folder, path, url) = file();
    let archive = open(&url).await;
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON frames WHEN NEW.digest = 21 \
                   BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    beside(&path, trigger).await.close().await.unwrap();
    let mut calls = JoinSet::new();
    for number in 1..=20 {
        let archive = archive.clone();
        calls.spawn(async move {
            (number, archive.apply(batch(&format!("device-{number}"), number, number)).await)
        });
    }
    for (number, outcome) in calls.join_all().await {
        match outcome {
            Ok(applied) => assert_eq!((applied.applied, number == 3), (1, false)),
            Err(error) => assert!(number == 3 && error.to_string().contains("not this one"), "{error}"),
        }
    }
    let others: Vec<u64> = (1..=20).filter(|number| *number != 3).collect();
    assert_eq!(numbers(&archive).await, others);
    assert!(archive.devices().await.unwrap().iter().all(|device| device.name != "device-3"));
}
