//! Old frames are deleted, but the archive remembers that they were applied.

use std::time::Duration;

use lopside_archive::{AppliedBatch, Archive, Batch, DeletedFrames, Settings, SweepReport};
use lopside_delivery::Class;

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

/// Returns the number of frames of each device, by name.
async fn frame_counts(archive: &Archive) -> Vec<u64> {
    archive.devices().await.unwrap().iter().map(|device| device.frames).collect()
}

/// Returns the approximate bytes on disk of each device, by name.
async fn stored_bytes(archive: &Archive) -> Vec<u64> {
    archive.devices().await.unwrap().iter().map(|device| device.stored_bytes).collect()
}

/// Returns a batch that a device captured at this time by its own clock.
fn dated(device: &str, captured_us: i64, first: u64, last: u64) -> Batch {
    let mut batch = batch(device, first, last);
    for record in &mut batch.records {
        record.captured_us = captured_us;
    }
    batch
}

/// Returns a batch of frames with this many bytes.
fn sized(device: &str, first: u64, last: u64, bytes: usize) -> Batch {
    let mut batch = batch(device, first, last);
    for record in &mut batch.records {
        record.frame = vec![7; bytes].into();
    }
    batch
}

/// Returns a report of this many expired frames of 10 bytes.
fn expired(frames: u64) -> SweepReport {
    SweepReport { expired: DeletedFrames { frames, bytes: 10 * frames }, ..SweepReport::default() }
}

/// Returns the time at which the newest frame arrived by the server's clock.
async fn last_arrival_us(archive: &Archive) -> i64 {
    frames(archive).await.iter().map(|frame| frame.received_us).max().unwrap()
}

/// Closes an archive, and opens it with other limits.
async fn reopen(archive: Archive, url: &str, settings: Settings) -> Archive {
    archive.close().await;
    Archive::open(url, settings).await.unwrap()
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
    assert_eq!(archive.sweep(last_us + MAX_AGE_US).await.unwrap(), expired(1200));
    assert_eq!(numbers(&archive).await, (1201..=1300).collect::<Vec<_>>());
    assert_eq!(totals(&archive).await, [("gate".into(), 1300, 100, 1000)]);
    let replayed = AppliedBatch { applied: 0, replayed: 1300, newer_epoch: None };
    assert_eq!(archive.apply(batch("gate", 1, 1300)).await.unwrap(), replayed);
}

pub(crate) async fn a_device_over_its_quota_of_frames_loses_those_that_arrived_first(url: &str) {
    let settings = Settings { max_device_frames: Some(100), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    archive.apply(batch("door", 1, 50)).await.unwrap();
    // The frames that were captured last arrive first, in another class.
    archive.apply(Batch { class: Class::High, ..batch("gate", 1000, 1699) }).await.unwrap();
    archive.apply(batch("gate", 1, 30)).await.unwrap();
    let report = archive.sweep(START_US).await.unwrap();
    let over_quota = DeletedFrames { frames: 630, bytes: 6300 };
    assert_eq!(report, SweepReport { over_quota, ..SweepReport::default() });
    assert_eq!(totals(&archive).await, [("door".into(), 50, 50, 500), ("gate".into(), 730, 100, 1000)]);
    let of_gate: Vec<u64> = frames(&archive)
        .await
        .iter()
        .filter(|frame| &*frame.device == "gate")
        .map(|frame| frame.number)
        .collect();
    assert_eq!(of_gate, (1630..=1699).rev().chain((1..=30).rev()).collect::<Vec<_>>());
    assert_eq!(archive.sweep(START_US).await.unwrap(), SweepReport::default());
}

pub(crate) async fn a_device_over_its_quota_of_bytes_loses_frames_alone(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("door", 1, 10)).await.unwrap();
    archive.apply(batch("gate", 1, 2000)).await.unwrap();
    let before = stored_bytes(&archive).await;
    assert!(before[1] > 50 * before[0], "{before:?}");
    let max = before[1] / 2;
    let settings = Settings { max_device_bytes: Some(max), ..Settings::default() };
    let archive = reopen(archive, url, settings).await;
    let report = archive.sweep(START_US).await.unwrap();
    let after = stored_bytes(&archive).await;
    assert_eq!(after[0], before[0]);
    // The last frame over the quota may take the row of its run with it.
    assert!(after[1] <= max && after[1] > max - 1000, "{after:?}, {max}");
    let deleted = 2000 - frame_counts(&archive).await[1];
    assert_eq!(report.total(), DeletedFrames { frames: deleted, bytes: 10 * deleted });
    assert_eq!(numbers(&archive).await.last(), Some(&2000));
}

pub(crate) async fn a_device_that_floods_the_archive_does_not_displace_others(url: &str) {
    let archive = open(url).await;
    // The frames of the small devices arrive before, between and after those of the others.
    archive.apply(sized("a", 1, 20, 1000)).await.unwrap();
    for part in 0..6 {
        archive.apply(sized("flood", 1 + 500 * part, 500 + 500 * part, 2000)).await.unwrap();
        archive.apply(sized("large", 1 + 50 * part, 50 + 50 * part, 2000)).await.unwrap();
    }
    archive.apply(sized("b", 1, 20, 1000)).await.unwrap();
    let size = archive.size_bytes().await.unwrap();
    let settings = Settings { max_bytes: Some(size / 2), ..Settings::default() };
    let archive = reopen(archive, url, settings).await;
    let report = archive.sweep(START_US).await.unwrap();
    let counts = frame_counts(&archive).await;
    assert_eq!((counts[0], counts[1], counts[3]), (20, 20, 300), "a, b and large");
    assert_eq!(
        report.over_size,
        DeletedFrames { frames: 3000 - counts[2], bytes: 2000 * (3000 - counts[2]) }
    );
    assert_eq!(report.total(), report.over_size);
    assert!((1000..2000).contains(&counts[2]), "{}", counts[2]);
    let left = archive.size_bytes().await.unwrap();
    assert!(left <= size / 2 && left > size / 3, "{left} of {size}");
    assert_eq!(archive.sweep(START_US).await.unwrap(), SweepReport::default());

    // With less than the large device has, the two large ones are reduced to the same level.
    let settings = Settings { max_bytes: Some(size / 8), ..Settings::default() };
    let archive = reopen(archive, url, settings).await;
    archive.sweep(START_US).await.unwrap();
    let counts = frame_counts(&archive).await;
    assert_eq!((counts[0], counts[1]), (20, 20), "a and b");
    let (flood, large) = (counts[2], counts[3]);
    assert!(flood.abs_diff(large) <= 3 && large < 300, "{flood}, {large}");
}

pub(crate) async fn deletions_are_reported_by_reason(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), max_device_frames: Some(5), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    let first_us = last_arrival_us(&archive).await;
    archive.apply(batch("gate", 4, 10)).await.unwrap();
    let report = archive.sweep(first_us + MAX_AGE_US + 1).await.unwrap();
    let over_quota = DeletedFrames { frames: 2, bytes: 20 };
    assert_eq!(report, SweepReport { over_quota, ..expired(3) });
    assert_eq!(report.total(), DeletedFrames { frames: 5, bytes: 50 });
    assert_eq!(numbers(&archive).await, [6, 7, 8, 9, 10]);
}

pub(crate) async fn frames_dated_1970_are_kept_as_long_as_others(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    archive.apply(dated("gate", 0, 1, 5)).await.unwrap();
    let arrival_us = last_arrival_us(&archive).await;
    assert_eq!(archive.sweep(arrival_us + MAX_AGE_US).await.unwrap(), SweepReport::default());
    assert_eq!(numbers(&archive).await, [1, 2, 3, 4, 5]);
    assert_eq!(archive.sweep(arrival_us + MAX_AGE_US + 1).await.unwrap(), expired(5));
}

pub(crate) async fn frames_dated_9999_do_not_displace_those_of_another_device(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), max_device_frames: Some(4), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    archive.apply(dated("gate", YEAR_9999_US, 1, 4)).await.unwrap();
    archive.apply(batch("door", 1, 3)).await.unwrap();
    archive.apply(dated("gate", YEAR_9999_US, 5, 6)).await.unwrap();
    let arrival_us = last_arrival_us(&archive).await;
    let over_quota = DeletedFrames { frames: 2, bytes: 20 };
    assert_eq!(
        archive.sweep(arrival_us).await.unwrap(),
        SweepReport { over_quota, ..SweepReport::default() }
    );
    assert_eq!(totals(&archive).await, [("door".into(), 3, 3, 30), ("gate".into(), 6, 4, 40)]);
    assert_eq!(archive.sweep(arrival_us + MAX_AGE_US + 1).await.unwrap(), expired(7));
}

pub(crate) async fn single_frames_of_a_run_are_deleted(url: &str) {
    let archive = open(url).await;
    // More frames than a run has.
    archive.apply(batch("gate", 1, 300)).await.unwrap();
    let stored = stored_bytes(&archive).await[0];
    let is_kept = |number: u64| number.is_multiple_of(3) || !(250..270).contains(&number);
    for frame in frames(&archive).await.iter().filter(|frame| !is_kept(frame.number)) {
        assert!(archive.delete(frame.id).await.unwrap());
        assert!(!archive.delete(frame.id).await.unwrap());
    }
    assert_eq!(numbers(&archive).await, (1..=300).filter(|number| is_kept(*number)).collect::<Vec<_>>());
    let listed = frames(&archive).await;
    assert!(listed.iter().all(|frame| frame.digest == frame.number as u32 * 7), "each frame has its number");
    assert!(stored_bytes(&archive).await[0] < stored);
    let mut conflicting = batch("gate", 1, 300);
    conflicting.records[2].digest += 1;
    archive.apply(conflicting).await.unwrap_err();
    assert_eq!(archive.apply(batch("gate", 1, 301)).await.unwrap().applied, 1);
    assert!(!archive.delete(i64::MAX).await.unwrap());
    assert!(!archive.delete(0).await.unwrap());
    assert!(!archive.delete(i64::MIN).await.unwrap());
}

pub(crate) async fn nothing_is_counted_after_everything_was_deleted(url: &str) {
    let settings = Settings { max_age: Some(MAX_AGE), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    for (device, source) in [("gate", "camera"), ("gate", "Kamera \u{1f4f7}"), ("door", "camera")] {
        let first = if source == "camera" { 1 } else { 11 };
        let mut batch = batch(device, first, first + 9);
        for (record, number) in batch.records.iter_mut().zip(0..) {
            record.source = if number % 4 == 0 { source.into() } else { format!("{source} {number}").into() };
            record.trace = (number % 2 == 0).then(|| "00-0af7651916cd43dd8448eb211c80319c".to_owned());
        }
        archive.apply(batch).await.unwrap();
    }
    assert!(stored_bytes(&archive).await.iter().all(|bytes| *bytes > 0));
    let last = frames(&archive).await.iter().map(|frame| frame.id).max().unwrap();
    assert!(archive.delete(last).await.unwrap());
    let arrival_us = last_arrival_us(&archive).await;
    assert_eq!(archive.sweep(arrival_us + MAX_AGE_US + 1).await.unwrap(), expired(29));
    assert_eq!(stored_bytes(&archive).await, [0, 0]);
    assert_eq!(totals(&archive).await, [("door".into(), 10, 0, 0), ("gate".into(), 20, 0, 0)]);
    archive.apply(batch("gate", 100, 101)).await.unwrap();
    let newest = frames(&archive).await.iter().map(|frame| frame.id).max().unwrap();
    assert!(newest > last, "an id is not used again");
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
    assert!(gate.stored_bytes > gate.bytes);
    assert_eq!(
        archive.sweep(i64::MAX).await.unwrap(),
        SweepReport::default(),
        "everything is kept by default"
    );
}
