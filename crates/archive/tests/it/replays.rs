//! Records are applied only once.

use lopside_archive::{AppliedBatch, Batch};
use lopside_delivery::Class;

use crate::{batch, frames, known, numbers, open};

fn applied(applied: u64, replayed: u64) -> AppliedBatch {
    AppliedBatch { applied, replayed, newer_epoch: None }
}

pub(crate) async fn a_batch_is_applied_once(url: &str) {
    let archive = open(url).await;
    assert_eq!(archive.apply(batch("gate", 1, 5)).await.unwrap(), applied(5, 0));
    assert_eq!(archive.apply(batch("gate", 1, 5)).await.unwrap(), applied(0, 5));
    assert_eq!(numbers(&archive).await, [1, 2, 3, 4, 5]);
}

pub(crate) async fn new_records_of_an_overlapping_batch_are_applied(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 3, 4)).await.unwrap();
    archive.apply(batch("gate", 7, 7)).await.unwrap();
    assert_eq!(archive.apply(batch("gate", 2, 8)).await.unwrap(), applied(4, 3));
    assert_eq!(numbers(&archive).await, [2, 3, 4, 5, 6, 7, 8]);
    for frame in frames(&archive).await {
        assert_eq!(frame.digest, frame.number as u32 * 7, "each record is under its own number");
    }
}

pub(crate) async fn a_deleted_frame_is_not_applied_again(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    let second = frames(&archive).await[1].id;
    assert!(archive.delete(second).await.unwrap());
    assert!(!archive.delete(second).await.unwrap());
    assert_eq!(archive.apply(batch("gate", 1, 3)).await.unwrap(), applied(0, 3));
    assert_eq!(numbers(&archive).await, [1, 3]);
    assert_eq!(known(&archive, "gate", 0, 1).await, [(1, vec![1..=3])]);
}

pub(crate) async fn the_floor_settles_all_numbers_below_it(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    archive.apply(Batch { floor: 6, ..batch("gate", 7, 7) }).await.unwrap();
    assert_eq!(archive.apply(batch("gate", 4, 9)).await.unwrap(), applied(2, 4), "a floor never decreases");
    assert_eq!(numbers(&archive).await, [1, 2, 7, 8, 9]);
}

pub(crate) async fn epochs_classes_and_devices_have_separate_numbers(url: &str) {
    let archive = open(url).await;
    for (device, epoch, class) in [
        ("gate", 1, Class::Normal),
        ("gate", u64::MAX, Class::Normal),
        ("gate", 1, Class::High),
        ("door", 1, Class::Normal),
    ] {
        let batch = Batch { epoch, class, ..batch(device, 1, 2) };
        assert_eq!(archive.apply(batch.clone()).await.unwrap(), applied(2, 0), "{device} {epoch} {class}");
        assert_eq!(archive.apply(batch).await.unwrap(), applied(0, 2), "{device} {epoch} {class}");
    }
    assert_eq!(frames(&archive).await.len(), 8);
}

pub(crate) async fn a_batch_without_records_raises_the_floor(url: &str) {
    let archive = open(url).await;
    let floor = Batch { floor: 3, records: Vec::new(), ..batch("gate", 4, 4) };
    assert_eq!(archive.apply(floor).await.unwrap(), applied(0, 0));
    assert_eq!(archive.apply(batch("gate", 1, 4)).await.unwrap(), applied(1, 3));
}

pub(crate) async fn everything_is_there_after_closing_and_opening(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    let before = (frames(&archive).await, archive.devices().await.unwrap());
    archive.close().await;
    let archive = open(url).await;
    archive.health().await.unwrap();
    assert_eq!((frames(&archive).await, archive.devices().await.unwrap()), before);
    assert_eq!(archive.apply(batch("gate", 1, 3)).await.unwrap(), applied(0, 3));
}
