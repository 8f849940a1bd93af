//! Old frames are deleted, but the archive remembers that they were applied.

use std::time::Duration;

use lopside_archive::{AppliedBatch, Archive, Settings, SweepReport};

use crate::{START_US, batch, frames, numbers, open};

const SECOND_US: i64 = 1_000_000;

async fn totals(archive: &Archive) -> Vec<(String, u64, u64, u64)> {
    let devices = archive.devices().await.unwrap().into_iter();
    devices.map(|device| (device.name, device.applied, device.frames, device.bytes)).collect()
}

pub(crate) async fn frames_over_the_maximum_age_are_deleted(url: &str) {
    let settings = Settings { max_age: Some(Duration::from_secs(100)), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    // More frames than one transaction deletes.
    archive.apply(batch("gate", 1, 1300)).await.unwrap();
    assert_eq!(archive.sweep(START_US + 101 * SECOND_US).await.unwrap(), SweepReport::default());
    let report = archive.sweep(START_US + 1301 * SECOND_US).await.unwrap();
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
    assert_eq!((remaining.len(), remaining[0].number, remaining[122].number), (123, 700, 639));
    let bytes: u64 = totals(&archive).await.iter().map(|(.., bytes)| bytes).sum();
    assert_eq!(bytes, 1230);
    assert_eq!(archive.sweep(START_US).await.unwrap(), SweepReport::default());
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
