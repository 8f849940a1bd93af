//! Records are applied only once.

use lopside_archive::{AppliedBatch, Batch};
use lopside_delivery::Class;

use crate::{batch, frames, numbers, open};

fn applied(applied: u64, replayed: u64) -> AppliedBatch {
    AppliedBatch { applied, replayed, conflicting: 0 }
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
    assert_eq!(archive.known_numbers("gate", 0, Class::Normal, 1).await.unwrap(), [1..=3]);
}

pub(crate) async fn the_floor_settles_all_numbers_below_it(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    archive.apply(Batch { floor: 6, ..batch("gate", 7, 7) }).await.unwrap();
    assert_eq!(archive.apply(batch("gate", 4, 9)).await.unwrap(), applied(2, 4), "a floor never decreases");
    assert_eq!(numbers(&archive).await, [1, 2, 7, 8, 9]);
}

pub(crate) async fn another_digest_under_the_same_name_is_counted(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    let mut conflicting = batch("gate", 2, 4);
    conflicting.records[0].digest = 99;
    conflicting.records[1].digest = 99;
    let outcome = archive.apply(conflicting.clone()).await.unwrap();
    assert_eq!(outcome, AppliedBatch { applied: 1, replayed: 2, conflicting: 2 });
    let third = frames(&archive).await.into_iter().find(|frame| frame.number == 3).unwrap();
    assert_eq!(third.digest, 21, "the first record is kept");
    archive.delete(third.id).await.unwrap();
    let outcome = archive.apply(conflicting).await.unwrap();
    assert_eq!(
        outcome,
        AppliedBatch { applied: 0, replayed: 3, conflicting: 1 },
        "the digest is deleted with the frame"
    );
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

pub(crate) async fn known_numbers_are_the_union_of_all_epochs(url: &str) {
    let archive = open(url).await;
    let epoch = |epoch, floor, first, last| Batch { epoch, floor, ..batch("gate", first, last) };
    for batch in [epoch(1, 4, 5, 8), epoch(1, 4, 12, 14), epoch(2, 10, 15, 15), epoch(2, 10, 20, 22)] {
        archive.apply(batch).await.unwrap();
    }
    let known = async |from| archive.known_numbers("gate", 0, Class::Normal, from).await.unwrap();
    assert_eq!(known(1).await, [1..=10, 12..=15, 20..=22]);
    assert_eq!(known(6).await, [6..=10, 12..=15, 20..=22]);
    assert_eq!(known(13).await, [13..=15, 20..=22]);
    assert_eq!(known(23).await, []);
    assert_eq!(archive.known_numbers("gate", 0, Class::High, 1).await.unwrap(), []);
    assert_eq!(archive.known_numbers("door", 0, Class::Normal, 1).await.unwrap(), []);
}

pub(crate) async fn known_numbers_belong_to_one_spool(url: &str) {
    let archive = open(url).await;
    let new_batch = |spool, epoch, first, last| Batch { spool, epoch, ..batch("gate", first, last) };
    archive.apply(new_batch(7, 1, 1, 5)).await.unwrap();
    archive.apply(new_batch(8, 2, 1, 2)).await.unwrap();
    let known = async |spool| archive.known_numbers("gate", spool, Class::Normal, 1).await.unwrap();
    assert_eq!(known(7).await, [1..=5]);
    assert_eq!(known(8).await, [1..=2]);
    assert_eq!(known(9).await, []);
    // A spool that lost its name sends the records again that it had sent under the old name.
    assert_eq!(archive.apply(new_batch(9, 1, 4, 6)).await.unwrap(), applied(1, 2));
    assert_eq!((known(7).await, known(9).await), (vec![], vec![1..=6]));
}

pub(crate) async fn a_batch_without_records_raises_the_floor(url: &str) {
    let archive = open(url).await;
    let floor = Batch { floor: 3, records: Vec::new(), ..batch("gate", 1, 1) };
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
