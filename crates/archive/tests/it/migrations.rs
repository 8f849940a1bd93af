//! An archive of an earlier version is brought up to date together with its frames.

use std::time::Duration;

use lopside_archive::{AppliedBatch, Archive, Settings, SweepReport};
use sqlx::{
    Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};

use crate::{START_US, batch, frames, numbers};

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
    let replayed = AppliedBatch { applied: 0, replayed: 3, conflicting: 0 };
    assert_eq!(archive.apply(batch("gate", 1, 3)).await.unwrap(), replayed);
    assert_eq!(archive.sweep(START_US + 100 * SECOND_US).await.unwrap(), SweepReport::default());
    let report = archive.sweep(START_US + 101 * SECOND_US).await.unwrap();
    assert_eq!(report, SweepReport { frames: 1, bytes: 10 });
    assert_eq!(numbers(&archive).await, [2, 3]);
}
