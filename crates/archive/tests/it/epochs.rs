//! The epochs of a spool are separate, and devices that share a spool are noticed.

use lopside_archive::{AppliedBatch, Archive, Batch};
use lopside_delivery::Class;

use crate::{batch, known, numbers, open};

/// Returns a batch of an epoch of the spool 7.
fn of_epoch(epoch: u64, first: u64, last: u64) -> Batch {
    Batch { spool: 7, epoch, ..batch("gate", first, last) }
}

/// Applies a batch, and returns the newer epoch next to which it continued its own.
async fn newer_epoch(archive: &Archive, batch: Batch) -> Option<u64> {
    archive.apply(batch).await.unwrap().newer_epoch
}

pub(crate) async fn known_numbers_are_separate_for_each_epoch(url: &str) {
    let archive = open(url).await;
    let epoch = |epoch, floor, first, last| Batch { epoch, floor, ..batch("gate", first, last) };
    for batch in [epoch(1, 4, 5, 8), epoch(1, 4, 12, 14), epoch(2, 10, 15, 15), epoch(2, 10, 20, 22)] {
        archive.apply(batch).await.unwrap();
    }
    let known = async |from| known(&archive, "gate", 0, from).await;
    assert_eq!(known(1).await, [(1, vec![1..=8, 12..=14]), (2, vec![1..=10, 15..=15, 20..=22])]);
    assert_eq!(known(6).await, [(1, vec![6..=8, 12..=14]), (2, vec![6..=10, 15..=15, 20..=22])]);
    assert_eq!(known(13).await, [(1, vec![13..=14]), (2, vec![15..=15, 20..=22])]);
    assert_eq!(known(16).await, [(2, vec![20..=22])], "an epoch without numbers is left out");
    assert_eq!(known(23).await, []);
    assert_eq!(known(u64::MAX).await, []);
    archive.apply(Batch { class: Class::High, ..batch("gate", 3, 4) }).await.unwrap();
    let lanes = [(Class::Low, 1), (Class::Normal, 22), (Class::High, 4)];
    let known = archive.known_numbers("gate", 0, &lanes).await.unwrap();
    let known: Vec<_> = known.into_iter().map(|known| (known.class, known.epoch, known.ranges)).collect();
    assert_eq!(known, [(Class::Normal, 2, vec![22..=22]), (Class::High, 1, vec![4..=4])]);
    assert_eq!(archive.known_numbers("door", 0, &lanes).await.unwrap(), []);
}

pub(crate) async fn known_numbers_belong_to_one_spool(url: &str) {
    let archive = open(url).await;
    archive.apply(of_epoch(1, 1, 5)).await.unwrap();
    archive.apply(Batch { spool: 8, ..of_epoch(2, 1, 2) }).await.unwrap();
    assert_eq!(known(&archive, "gate", 7, 1).await, [(1, vec![1..=5])]);
    assert_eq!(known(&archive, "gate", 8, 1).await, [(2, vec![1..=2])]);
    assert_eq!(known(&archive, "gate", 9, 1).await, []);
}

pub(crate) async fn a_spool_that_was_set_back_loses_nothing(url: &str) {
    let archive = open(url).await;
    archive.apply(of_epoch(1, 1, 50)).await.unwrap();
    // The spool is as it was after number 10, and its next opening numbers 40 new records.
    let mut new_records = of_epoch(2, 11, 50);
    for record in &mut new_records.records {
        record.digest += 1;
    }
    assert_eq!(known(&archive, "gate", 7, 11).await, [(1, vec![11..=50])]);
    let applied = AppliedBatch { applied: 40, replayed: 0, newer_epoch: None };
    assert_eq!(archive.apply(new_records).await.unwrap(), applied);
    assert_eq!(known(&archive, "gate", 7, 11).await, [(1, vec![11..=50]), (2, vec![11..=50])]);
    assert_eq!(numbers(&archive).await.len(), 90);
}

pub(crate) async fn a_device_may_leave_an_epoch_but_not_return_to_it(url: &str) {
    let archive = open(url).await;
    assert_eq!(newer_epoch(&archive, of_epoch(1, 1, 10)).await, None);
    assert_eq!(newer_epoch(&archive, of_epoch(2, 11, 20)).await, None);
    assert_eq!(newer_epoch(&archive, of_epoch(1, 5, 10)).await, None, "a replay");
    assert_eq!(newer_epoch(&archive, of_epoch(1, 11, 12)).await, Some(2));
    assert_eq!(newer_epoch(&archive, of_epoch(2, 21, 22)).await, None, "the newest epoch");
    assert_eq!(newer_epoch(&archive, of_epoch(3, 16, 16)).await, None, "a spool that was set back");
    assert_eq!(newer_epoch(&archive, of_epoch(2, 23, 23)).await, Some(3));
    for other in
        [Batch { spool: 8, ..of_epoch(1, 11, 12) }, Batch { class: Class::High, ..of_epoch(1, 1, 30) }]
    {
        assert_eq!(newer_epoch(&archive, other).await, None, "other spools and classes do not count");
    }
    assert_eq!(archive.devices().await.unwrap()[0].alternations, 2);
}

pub(crate) async fn epochs_that_arrive_in_the_wrong_order_do_not_alternate(url: &str) {
    let archive = open(url).await;
    for batch in [of_epoch(2, 11, 20), of_epoch(1, 1, 10), of_epoch(2, 21, 30)] {
        assert_eq!(newer_epoch(&archive, batch).await, None);
    }
    assert_eq!(archive.devices().await.unwrap()[0].alternations, 0);
}

pub(crate) async fn a_renamed_spool_sends_the_same_records_again(url: &str) {
    let archive = open(url).await;
    archive.apply(of_epoch(1, 1, 5)).await.unwrap();
    let renamed = |first, last| Batch { spool: 9, ..of_epoch(1, first, last) };
    let outcome = AppliedBatch { applied: 1, replayed: 2, newer_epoch: None };
    assert_eq!(archive.apply(renamed(4, 6)).await.unwrap(), outcome);
    assert_eq!(known(&archive, "gate", 7, 1).await, [(1, vec![1..=5])]);
    assert_eq!(known(&archive, "gate", 9, 1).await, [(1, vec![4..=6])]);
    assert_eq!(numbers(&archive).await, [1, 2, 3, 4, 5, 6]);
    let mut other = renamed(3, 3);
    other.records[0].digest = 99;
    assert_eq!(archive.apply(other).await.unwrap().applied, 1, "another record of another spool");
    assert_eq!(numbers(&archive).await, [1, 2, 3, 3, 4, 5, 6]);
}
