//! Old frames are deleted, but the archive remembers that they were applied.

use std::time::Duration;

use lopside_archive::{AppliedBatch, Archive, Batch, Settings, SweepReport};

use crate::{START_US, batch, frames, numbers, open};

const SECOND_US: i64 = 1_000_000;
const MAX_AGE: Duration = Duration::from_secs(100);
const MAX_AGE_US: i64 = 100 * SECOND_US;
/// The start of the year 9999 in microseconds since 1970.
const YEAR_9999_US: i64 = 253_370_764_800 * SECOND_US;

async fn totals(archive: &Archive) -> Vec<(String, u64, u64, u64)> {
    let devices = archive.devices().await.unwrap().into_iter();
    devices.map(|device| (device.name, device.applied, device.frames, device.bytes)).collect()
}

/// Returns a batch that a device captured at this time by its own clock.
fn dated(device: &str, captured_us: i64, first: u64, last: u64) -> Batch {
    let mut batch = batch(device, first, last);
    for record in &mut batch.records {
        record.captured_us = captured_us;
    }
    batch
}

/// Returns the time at which the newest frame arrived by the server's clock.
async fn last_arrival_us(archive: &Archive) -> i64 {
    frames(archive).await.iter().map(|frame| frame.received_us).max().unwrap()
}

pub(crate) async fn frames_over_the_maximum_age_are_deleted(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    // More frames than one transaction deletes.
    archive.apply(batch("gate", 1, 1200)).await.unwrap();
    let first_us = last_arrival_us(&archive).await;
    archive.apply(batch("gate", 1201, 1300)).await.unwrap();
    let last_us = last_arrival_us(&archive).await;
    assert_eq!(archive.sweep(first_us + MAX_AGE_US).await.unwrap(), SweepReport::default());
    let report = archive.sweep(last_us + MAX_AGE_US).await.unwrap();
    assert_eq!(report, SweepReport { frames: 1200, bytes: 12_000 });
    assert_eq!(numbers(&archive).await, (1201..=1300).collect::<Vec<_>>());
    assert_eq!(totals(&archive).await, [("gate".into(), 1300, 100, 1000)]);
    let replayed = AppliedBatch { applied: 0, replayed: 1300, conflicting: 0 };
    assert_eq!(archive.apply(batch("gate", 1, 1300)).await.unwrap(), replayed);
}

pub(crate) async fn the_oldest_frames_are_deleted_until_the_bytes_fit(url: &str) {
    let settings = Settings { max_bytes: Some(1234), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    for device in ["gate", "door"] {
        archive.apply(batch(device, 1, 700)).await.unwrap();
    }
    let report = archive.sweep(START_US).await.unwrap();
    assert_eq!(report, SweepReport { frames: 1277, bytes: 12_770 });
    let remaining = frames(&archive).await;
    assert!(remaining.iter().all(|frame| frame.device == "door"), "the first device's frames arrived first");
    assert_eq!((remaining.len(), remaining[0].number, remaining[122].number), (123, 700, 578));
    let bytes: u64 = totals(&archive).await.iter().map(|(.., bytes)| bytes).sum();
    assert_eq!(bytes, 1230);
    assert_eq!(archive.sweep(START_US).await.unwrap(), SweepReport::default());
}

pub(crate) async fn frames_dated_1970_are_kept_as_long_as_others(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    archive.apply(dated("gate", 0, 1, 5)).await.unwrap();
    let arrival_us = last_arrival_us(&archive).await;
    assert_eq!(archive.sweep(arrival_us + MAX_AGE_US).await.unwrap(), SweepReport::default());
    assert_eq!(numbers(&archive).await, [1, 2, 3, 4, 5]);
    let report = archive.sweep(arrival_us + MAX_AGE_US + 1).await.unwrap();
    assert_eq!(report, SweepReport { frames: 5, bytes: 50 });
}

pub(crate) async fn frames_dated_9999_do_not_displace_those_of_another_device(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), max_bytes: Some(50), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    archive.apply(dated("gate", YEAR_9999_US, 1, 4)).await.unwrap();
    archive.apply(batch("door", 1, 3)).await.unwrap();
    archive.apply(dated("gate", YEAR_9999_US, 5, 6)).await.unwrap();
    let arrival_us = last_arrival_us(&archive).await;
    assert_eq!(archive.sweep(arrival_us).await.unwrap(), SweepReport { frames: 4, bytes: 40 });
    assert_eq!(totals(&archive).await, [("door".into(), 3, 3, 30), ("gate".into(), 6, 2, 20)]);
    let listed: Vec<String> = frames(&archive).await.into_iter().map(|frame| frame.device).collect();
    assert_eq!(listed, ["gate", "gate", "door", "door", "door"], "lists are ordered by capture");
    let report = archive.sweep(arrival_us + MAX_AGE_US + 1).await.unwrap();
    assert_eq!(report, SweepReport { frames: 5, bytes: 50 }, "these frames expire like others");
}

pub(crate) async fn devices_count_their_frames(url: &str) {
    let archive = open(url).await;
    assert_eq!(archive.devices().await.unwrap(), []);
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    archive.apply(batch("door", 1, 2)).await.unwrap();
    archive.apply(batch("gate", 2, 4)).await.unwrap();
    archive.delete(frames(&archive).await[0].id).await.unwrap();
    assert_eq!(totals(&archive).await, [("door".into(), 2, 2, 20), ("gate".into(), 4, 3, 30)]);
    let gate = archive.devices().await.unwrap().remove(1);
    assert!(gate.first_seen_us <= gate.last_seen_us);
    assert_eq!(
        archive.sweep(i64::MAX).await.unwrap(),
        SweepReport::default(),
        "everything is kept by default"
    );
}
