//! Batches that contradict the archive are refused as a whole, and leave nothing behind but their count.

use lopside_archive::{AppliedBatch, Archive, ArchiveError, Batch, Device};
use lopside_delivery::Class;
use tokio::task::JoinSet;

use crate::{
    batch, frames, known, numbers, open,
    sqlite_file::{beside, file},
};

async fn gate(archive: &Archive) -> Device {
    archive.devices().await.unwrap().into_iter().find(|device| device.name == "gate").unwrap()
}

/// Returns a batch whose record `number` has another digest than usual.
fn conflicting(first: u64, last: u64, number: u64) -> Batch {
    let mut batch = batch("gate", first, last);
    batch.records[(number - first) as usize].digest = 99;
    batch
}

pub(crate) async fn another_digest_under_the_same_name_is_refused(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    let error = archive.apply(conflicting(2, 4, 3)).await.unwrap_err();
    let ArchiveError::Conflict { device, class, epoch, number } = &error else { panic!("{error:?}") };
    assert_eq!((&device[..], *class, *epoch, *number), ("gate", Class::Normal, 1, 3));
    let message = error.to_string();
    for part in ["frame 3 of class normal of device \"gate\"", "second device with this name", "set back"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(numbers(&archive).await, [1, 2, 3], "nothing of the batch is applied");
    assert_eq!(frames(&archive).await[0].digest, 21, "the first record is kept");
    assert_eq!(known(&archive, "gate", 0, 1).await, [(1, vec![1..=3])]);
    assert_eq!(gate(&archive).await.conflicts, 1);

    let replay = AppliedBatch { applied: 1, replayed: 2, newer_epoch: None };
    assert_eq!(archive.apply(batch("gate", 2, 4)).await.unwrap(), replay);
    // The digest counts below the floor as well.
    archive.apply(Batch { floor: 4, ..batch("gate", 5, 5) }).await.unwrap();
    assert!(matches!(
        archive.apply(conflicting(1, 6, 2)).await,
        Err(ArchiveError::Conflict { number: 2, .. })
    ));
    assert_eq!(gate(&archive).await.conflicts, 2);

    let second = frames(&archive).await.into_iter().find(|frame| frame.number == 2).unwrap();
    archive.delete(second.id).await.unwrap();
    let replay = AppliedBatch { applied: 0, replayed: 1, newer_epoch: None };
    assert_eq!(
        archive.apply(conflicting(2, 2, 2)).await.unwrap(),
        replay,
        "the digest is deleted with the frame"
    );
}

pub(crate) async fn two_batches_of_one_commit_do_not_contradict_each_other(url: &str) {
    let archive = open(url).await;
    let mut calls = JoinSet::new();
    for digest in 0..20 {
        let archive = archive.clone();
        let mut batch = batch("gate", 1, 2);
        batch.records[1].digest = digest;
        calls.spawn(async move { archive.apply(batch).await });
    }
    let mut applied = 0;
    for outcome in calls.join_all().await {
        match outcome {
            Ok(outcome) => applied += outcome.applied,
            Err(error) => assert!(matches!(error, ArchiveError::Conflict { number: 2, .. }), "{error}"),
        }
    }
    assert_eq!((applied, numbers(&archive).await), (2, vec![1, 2]));
    assert_eq!(gate(&archive).await.conflicts, 19);
}

pub(crate) async fn a_floor_that_cannot_be_true_is_refused(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    for (floor, first, epoch) in [(5, 5, 1), (4, 2, 1), (1_000_000_000, 4, 2)] {
        let error =
            archive.apply(Batch { floor, epoch, ..batch("gate", first, first + 1) }).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Refused { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("up to number {floor}")), "{message}");
    }
    // The device goes on as before.
    assert_eq!(known(&archive, "gate", 0, 1).await, [(1, vec![1..=3])]);
    assert_eq!(archive.apply(Batch { floor: 3, ..batch("gate", 4, 6) }).await.unwrap().applied, 3);
    let later_epoch = Batch { floor: 6, epoch: 2, ..batch("gate", 5, 7) };
    assert_eq!(archive.apply(later_epoch).await.unwrap().applied, 3, "6 is the highest number of all epochs");
    let other_spool = Batch { floor: 6, spool: 9, ..batch("gate", 5, 7) };
    assert!(matches!(archive.apply(other_spool).await, Err(ArchiveError::Refused { .. })));
}

pub(crate) async fn a_floor_does_not_settle_the_records_that_it_comes_with(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 5)).await.unwrap();
    let again = Batch { floor: 5, epoch: 2, ..batch("gate", 3, 4) };
    let applied = AppliedBatch { applied: 2, replayed: 0, newer_epoch: None };
    assert_eq!(archive.apply(again).await.unwrap(), applied);
    assert_eq!(known(&archive, "gate", 0, 1).await, [(1, vec![1..=5]), (2, vec![1..=4])]);
}

pub(crate) async fn a_refused_batch_leaves_no_device_behind(url: &str) {
    let archive = open(url).await;
    let high_floor = Batch { floor: 9, ..batch("gate", 1, 1) };
    assert!(matches!(archive.apply(high_floor).await, Err(ArchiveError::Refused { .. })));
    let late = Batch { connection: Some(7), ..batch("door", 1, 1) };
    assert!(matches!(archive.apply(late).await, Err(ArchiveError::Superseded { .. })));
    assert_eq!(archive.devices().await.unwrap(), []);
    archive.apply(batch("gate", 1, 1)).await.unwrap();
    assert_eq!(archive.devices().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_batch_leaves_no_row_behind() {
    let (_folder, path, url) = file();
    let archive = open(&url).await;
    archive.apply(batch("gate", 1, 1)).await.unwrap();
    for (device, epoch) in [("gate", 2), ("door", 1)] {
        let refused = Batch { floor: 9, epoch, ..batch(device, 1, 1) };
        assert!(matches!(archive.apply(refused).await, Err(ArchiveError::Refused { .. })));
    }
    let mut connection = beside(&path, "SELECT 1").await;
    let rows: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM devices), (SELECT count(*) FROM streams)")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(rows, (1, 1));
}
