//! A failure of the database lasts as long as its cause: then the same archive stores, deletes and sweeps again.

use std::time::Duration;

use lopside_archive::{Archive, ArchiveError, ArchiveState, HeadKey, NewConnection, NewScore, Settings};
use sqlx::Connection as _;

use crate::{
    batch, frames,
    postgres::Server,
    sqlite_file::{beside, file},
};

/// Triggers that make SQLite end the whole transaction by itself, as it does when the disk is full or fails.
const TRIGGERS: [&str; 5] = [
    "CREATE TRIGGER fails BEFORE INSERT ON frames BEGIN SELECT RAISE(ROLLBACK, 'the disk fails'); END",
    "CREATE TRIGGER fails BEFORE INSERT ON scores BEGIN SELECT RAISE(ROLLBACK, 'the disk fails'); END",
    "CREATE TRIGGER fails BEFORE DELETE ON frames BEGIN SELECT RAISE(ROLLBACK, 'the disk fails'); END",
    "CREATE TRIGGER fails BEFORE UPDATE ON streams BEGIN SELECT RAISE(ROLLBACK, 'the disk fails'); END",
    "CREATE TRIGGER fails BEFORE UPDATE ON devices BEGIN SELECT RAISE(ROLLBACK, 'the disk fails'); END",
];

/// Makes every kind of write once, with a batch that begins at the number `first`.
async fn write_all(archive: &Archive, first: u64) -> [Result<(), ArchiveError>; 5] {
    let head = HeadKey { bundle: "fashion".into(), head: "anomaly".into(), version: 1 };
    let ids: Vec<i64> = frames(archive).await.iter().map(|frame| frame.id).collect();
    let score = NewScore { id: ids[0], score: Some(1.0), quantile: None, label: None };
    [
        archive.register_connection(NewConnection::new("gate")).await.map(drop),
        archive.apply(batch("gate", first, first + 2)).await.map(drop),
        archive.put_scores(&head, &[score]).await.map(drop),
        archive.delete(ids[1]).await.map(drop),
        archive.sweep(0).await.map(drop),
    ]
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_does_not_block_later_ones() {
    let (_folder, path, url) = file();
    let settings = Settings { max_device_frames: Some(5), ..Settings::default() };
    let archive = Archive::open(&url, settings).await.unwrap();
    archive.apply(batch("gate", 1, 8)).await.unwrap();
    for (trigger, first) in TRIGGERS.into_iter().zip((10..).step_by(10)) {
        beside(&path, trigger).await.close().await.unwrap();
        let results = write_all(&archive, first).await;
        let failed = results.iter().filter_map(|result| result.as_ref().err());
        assert!(failed.clone().count() > 0, "{trigger}");
        for error in failed {
            assert!(error.to_string().contains("the disk fails"), "{trigger}: {error}");
        }
        beside(&path, "DROP TRIGGER fails").await.close().await.unwrap();
        for result in write_all(&archive, first + 5).await {
            result.unwrap();
        }
        assert_eq!(archive.devices().await.unwrap()[0].frames, 5, "{trigger}");
    }
}

#[tokio::test]
async fn the_state_has_the_reason_of_an_outage_and_health_notices_its_end() {
    let (_folder, path, url) = file();
    let settings = Settings { acquire_timeout: Duration::from_millis(100), ..Settings::default() };
    let archive = Archive::open(&url, settings).await.unwrap();
    let mut state = archive.state();
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    assert!(!state.has_changed().unwrap());
    let other = beside(&path, "BEGIN IMMEDIATE").await;
    archive.health().await.unwrap();
    for number in 3..6 {
        let error = archive.apply(batch("gate", number, number)).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Locked { .. }), "{error:?}");
    }
    assert!(state.has_changed().unwrap());
    assert!(matches!(&*state.borrow_and_update(), ArchiveState::Failing(ArchiveError::Locked { .. })));
    let error = archive.health().await.unwrap_err();
    assert!(matches!(error, ArchiveError::Locked { .. }), "{error:?}");
    assert!(!state.has_changed().unwrap(), "the state stays the same");
    other.close().await.unwrap();
    archive.health().await.unwrap();
    assert!(matches!(&*state.borrow_and_update(), ArchiveState::Writable));
    assert_eq!(archive.apply(batch("gate", 1, 5)).await.unwrap().applied, 3);
}

#[tokio::test]
async fn a_database_server_that_has_gone_is_noticed_without_a_write() {
    let server = Server::start();
    let settings = Settings { acquire_timeout: Duration::from_millis(500), ..Settings::default() };
    let archive = Archive::open(&server.new_database(), settings).await.unwrap();
    archive.health().await.unwrap();
    drop(server);
    let error = archive.health().await.unwrap_err();
    let is_outage = matches!(error, ArchiveError::Unreachable { .. } | ArchiveError::Locked { .. });
    assert!(is_outage, "{error:?}");
    let error = archive.apply(batch("gate", 1, 1)).await.unwrap_err();
    assert!(matches!(&*archive.state().borrow(), ArchiveState::Failing(_)), "{error:?}");
}
