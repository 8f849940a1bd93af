//! An archive of an earlier version is brought up to date together with its frames.

use std::time::Duration;

use lopside_archive::{
    AppliedBatch, Archive, ArchiveError, Batch, ClockQuality, DeletedFrames, FrameMeta, FrameQuery, HeadKey,
    LostNumbers, NewConnection, Settings, SweepReport,
};
use lopside_delivery::Class;
use sqlx::{
    Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};

use crate::{START_US, batch, frames, frames_of, known, numbers, open};

const SECOND_US: i64 = 1_000_000;
/// Number, time of capture and time of arrival of each frame. Two devices had a wrong clock.
const OLD_FRAMES: [(i64, i64, i64); 3] = [
    (1, 253_370_764_800 * SECOND_US, START_US),
    (2, 0, START_US + SECOND_US),
    (3, START_US, START_US + 2 * SECOND_US),
];

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// Creates the schema of version 2 and its rows. It is a macro because the backends have different types.
macro_rules! fill_second_schema {
    ($connection:ident, $backend:literal) => {{
        let migrations = vec![
            migration(
                1,
                "archive",
                include_str!(concat!("../../migrations/", $backend, "/0001_archive.sql")),
            ),
            migration(
                2,
                "senders",
                include_str!(concat!("../../migrations/", $backend, "/0002_senders.sql")),
            ),
        ];
        Migrator::with_migrations(migrations).run(&mut $connection).await.unwrap();
        for sql in [
            "INSERT INTO devices (name, first_seen_us, last_seen_us, applied, frames, bytes) \
             VALUES ('gate', 0, 0, 3, 3, 30)",
            "INSERT INTO streams (device_id, class, epoch, ranges) VALUES (1, 1, 1, '1-3')",
            "INSERT INTO streams (device_id, class, epoch, floor, ranges, spool) VALUES (1, 1, 2, 4, '7-9,12-13', 9)",
            "INSERT INTO streams (device_id, class, epoch, floor, spool) VALUES (1, 2, 2, 6, 9)",
        ] {
            sqlx::query(sql).execute(&mut $connection).await.unwrap();
        }
        for (number, captured_us, received_us) in OLD_FRAMES {
            sqlx::query(
                "INSERT INTO frames (device_id, stream_id, number, captured_us, received_us, source, digest, \
                 latent_space, frame) VALUES (1, 1, $1, $2, $3, 'camera', $4, 0, $5)",
            )
            .bind(number)
            .bind(captured_us)
            .bind(received_us)
            .bind(7 * number)
            .bind(vec![number as u8; 10])
            .execute(&mut $connection)
            .await
            .unwrap();
        }
        $connection.close().await.unwrap();
    }};
}

async fn create_second_schema(url: &str) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        fill_second_schema!(connection, "sqlite");
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        fill_second_schema!(connection, "postgres");
    }
}

pub(crate) async fn frames_of_an_older_archive_expire_by_their_arrival(url: &str) {
    create_second_schema(url).await;
    let settings = Settings { max_age: Some(Duration::from_secs(100)), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    let mut listed: Vec<_> = frames(&archive)
        .await
        .into_iter()
        .map(|frame| (frame.number as i64, frame.captured_us, frame.received_us))
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, OLD_FRAMES);
    let order: Vec<u64> = frames(&archive).await.iter().map(|frame| frame.number).collect();
    assert_eq!(order, [2, 3, 1], "impossible times are listed by the arrival");
    let replayed = AppliedBatch { applied: 0, replayed: 3, newer_epoch: None };
    assert_eq!(archive.apply(batch("gate", 1, 3)).await.unwrap(), replayed);
    assert_eq!(archive.sweep(START_US + 100 * SECOND_US).await.unwrap(), SweepReport::default());
    let report = archive.sweep(START_US + 101 * SECOND_US).await.unwrap();
    let expired = DeletedFrames { frames: 1, bytes: 10 };
    assert_eq!(report, SweepReport { expired, ..SweepReport::default() });
    assert_eq!(numbers(&archive).await, [2, 3]);
}

pub(crate) async fn streams_of_an_older_archive_keep_their_spool_and_epoch(url: &str) {
    create_second_schema(url).await;
    let archive = open(url).await;
    assert_eq!(known(&archive, "gate", 0, 1).await, [(1, vec![1..=3])]);
    assert_eq!(known(&archive, "gate", 9, 1).await, [(2, vec![1..=4, 7..=9, 12..=13])]);
    let acknowledged = vec![(Class::Normal, 15), (Class::High, 7)];
    let connection = NewConnection { spool: 9, acknowledged, ..NewConnection::new("gate") };
    let lost = |class, numbers| LostNumbers { class, numbers };
    assert_eq!(
        archive.register_connection(connection).await.unwrap().newly_lost,
        [lost(Class::Normal, 14..=15), lost(Class::High, 7..=7)]
    );
    let of_spool = |spool, epoch, first, last| Batch { spool, epoch, ..batch("gate", first, last) };
    assert_eq!(archive.apply(of_spool(9, 2, 3, 14)).await.unwrap().applied, 5);
    assert_eq!(archive.apply(of_spool(9, 3, 14, 14)).await.unwrap().newer_epoch, None);
    assert_eq!(archive.apply(of_spool(9, 2, 15, 15)).await.unwrap().newer_epoch, Some(3));
    // The same epoch and number under another name of the spool.
    assert_eq!(archive.apply(of_spool(5, 1, 3, 4)).await.unwrap().applied, 1);
    assert_eq!(numbers(&archive).await, [1, 2, 3, 4, 5, 6, 10, 11, 14, 14, 15]);
}

/// Number of frames of the device `gate` in the schema of version 5: more than a run has.
const GATE_FRAMES: u64 = 300;

/// A frame of the schema of version 5.
struct FifthFrame {
    device_id: i64,
    number: u64,
    captured_us: i64,
    received_us: i64,
    source: &'static str,
    digest: u32,
    trace: Option<&'static str>,
    /// The number of the head, and the score.
    score: (i64, Option<f64>),
}

/// Returns the frames of the schema of version 5, in the order of their ids. The last one is deleted.
fn fifth_frames() -> Vec<FifthFrame> {
    let frame = |device_id, number| FifthFrame {
        device_id,
        number,
        captured_us: START_US + number as i64 * SECOND_US,
        received_us: START_US + 1000 * SECOND_US,
        source: "camera",
        digest: number as u32 * 7,
        trace: None,
        score: (0, None),
    };
    let mut frames: Vec<FifthFrame> = (1..=GATE_FRAMES).map(|number| frame(1, number)).collect();
    frames[0].score = (1, Some(2.5));
    frames[1].score = (2, None);
    frames[2].trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    frames[4].digest = u32::MAX;
    frames[9].captured_us = 0;
    frames[10].captured_us = 253_370_764_800 * SECOND_US;
    for frame in &mut frames[100..] {
        frame.source = "pump";
    }
    frames.extend((1..=3).map(|number| frame(2, number)));
    frames
}

/// Creates the schema of version 5 and its rows. It is a macro because the backends have different types.
macro_rules! fill_fifth_schema {
    ($connection:ident, $backend:literal) => {{
        let migrations = vec![
            migration(1, "archive", include_str!(concat!("../../migrations/", $backend, "/0001_archive.sql"))),
            migration(2, "senders", include_str!(concat!("../../migrations/", $backend, "/0002_senders.sql"))),
            migration(3, "arrival", include_str!(concat!("../../migrations/", $backend, "/0003_arrival.sql"))),
            migration(4, "spools", include_str!(concat!("../../migrations/", $backend, "/0004_spools.sql"))),
            migration(5, "audit", include_str!(concat!("../../migrations/", $backend, "/0005_audit.sql"))),
        ];
        Migrator::with_migrations(migrations).run(&mut $connection).await.unwrap();
        for sql in [
            "BEGIN",
            "INSERT INTO devices (name, first_seen_us, last_seen_us, applied, frames, bytes) \
             VALUES ('gate', 0, 0, 300, 300, 3000), ('door', 0, 0, 3, 2, 20)",
            "INSERT INTO streams (device_id, spool, class, epoch, ranges, first_number, last_number) \
             VALUES (1, 9, 1, 5, '1-300', 1, 300), (2, 0, 1, 1, '1-3', 1, 3)",
            "INSERT INTO heads (bundle, head, version) VALUES ('fashion', 'anomaly', 1), ('fashion', 'anomaly', 2)",
        ] {
            sqlx::query(sql).execute(&mut $connection).await.unwrap();
        }
        for frame in fifth_frames() {
            sqlx::query(
                "INSERT INTO frames (device_id, stream_id, number, captured_us, received_us, source, digest, \
                 latent_space, trace, scored_by, score, frame) VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(frame.device_id)
            .bind(frame.number as i64)
            .bind(frame.captured_us)
            .bind(frame.received_us)
            .bind(frame.source)
            .bind(i64::from(frame.digest))
            .bind(i64::from_be_bytes(*b"space-01"))
            .bind(frame.trace)
            .bind(frame.score.0)
            .bind(frame.score.1)
            .bind(vec![frame.number as u8; 10])
            .execute(&mut $connection)
            .await
            .unwrap();
        }
        for sql in ["DELETE FROM frames WHERE id = (SELECT MAX(id) FROM frames)", "COMMIT"] {
            sqlx::query(sql).execute(&mut $connection).await.unwrap();
        }
        $connection.close().await.unwrap();
    }};
}

async fn create_fifth_schema(url: &str) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        fill_fifth_schema!(connection, "sqlite");
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        fill_fifth_schema!(connection, "postgres");
    }
}

fn head(version: u32) -> HeadKey {
    HeadKey { bundle: "fashion".into(), head: "anomaly".into(), version }
}

fn assert_same(frame: &FrameMeta, old: &FifthFrame) {
    let number = old.number;
    let is_impossible = [10, 11].contains(&number) && old.device_id == 1;
    let clock = if is_impossible { ClockQuality::Impossible } else { ClockQuality::Unknown };
    assert_eq!((frame.number, frame.captured_us, frame.clock), (number, old.captured_us, clock));
    assert_eq!(frame.corrected_us, if is_impossible { old.received_us } else { old.captured_us }, "{number}");
    assert_eq!((frame.received_us, &*frame.source), (old.received_us, old.source), "{number}");
    assert_eq!((frame.digest, frame.trace.as_deref(), frame.bytes), (old.digest, old.trace, 10), "{number}");
    assert_eq!((frame.class, frame.latent_space), (Class::Normal, *b"space-01"));
    let score = frame.score.as_ref().map(|score| (score.head.clone(), score.score));
    assert_eq!(score, old.score.1.map(|score| (head(1), score)), "{number}");
}

pub(crate) async fn frames_of_an_older_archive_become_runs(url: &str) {
    create_fifth_schema(url).await;
    let settings = Settings { max_age: Some(Duration::from_secs(100)), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    let mut listed = frames(&archive).await;
    listed.sort_by_key(|frame| frame.id);
    let old = fifth_frames();
    assert_eq!(listed.len(), old.len() - 1);
    for (frame, old) in listed.iter().zip(&old) {
        assert_same(frame, old);
    }
    for frame in [&listed[0], &listed[299], &listed[301]] {
        let read = archive.read_frame(frame.id).await.unwrap().unwrap();
        assert_eq!((read.bytes, &read.meta), (vec![frame.number as u8; 10], frame));
    }

    let unscored = archive.unscored_frames(&head(2), &[*b"space-01"], 1000).await.unwrap();
    let ids: Vec<i64> = unscored.iter().map(|frame| frame.id).collect();
    let without_score = listed[2..].iter().map(|frame| frame.id);
    assert_eq!(ids, without_score.chain([listed[0].id]).collect::<Vec<_>>());

    let mut replay = Batch { spool: 9, epoch: 5, ..batch("gate", 1, GATE_FRAMES) };
    assert!(matches!(archive.apply(replay.clone()).await, Err(ArchiveError::Conflict { number: 5, .. })));
    replay.records[4].digest = u32::MAX;
    let replayed = AppliedBatch { applied: 0, replayed: GATE_FRAMES, newer_epoch: None };
    assert_eq!(archive.apply(replay).await.unwrap(), replayed);

    let query = FrameQuery { device: Some("gate".into()), limit: 7, ..FrameQuery::default() };
    assert_eq!(frames_of(&archive, query).await.len(), 300);
    assert!(archive.devices().await.unwrap().iter().all(|device| device.stored_bytes > device.bytes));
    let expired = DeletedFrames { frames: 302, bytes: 3020 };
    let report = archive.sweep(START_US + 1101 * SECOND_US).await.unwrap();
    assert_eq!(report, SweepReport { expired, ..SweepReport::default() });
    assert!(archive.devices().await.unwrap().iter().all(|device| device.stored_bytes == 0));
    archive.apply(batch("door", 4, 4)).await.unwrap();
    let newest = frames(&archive).await.remove(0);
    assert!(newest.id > listed[301].id + 1, "the id of a deleted frame is not used again");
}
