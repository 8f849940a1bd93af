//! An archive that was set back to an earlier state finds out what it has lost.

use std::{fs, ops::RangeInclusive};

use lopside_archive::{
    Archive, ArchiveError, ArchiveIdentity, Batch, LostNumbers, NewConnection, RegisteredConnection,
};
use lopside_delivery::Class;

use crate::{batch, numbers, open, sqlite_file::file};

const SPOOL: u32 = 7;

fn of_epoch(epoch: u64, first: u64, last: u64) -> Batch {
    Batch { spool: SPOOL, epoch, ..batch("gate", first, last) }
}

/// Connects the device, whose spool was acknowledged these numbers.
async fn connect(archive: &Archive, acknowledged: &[(Class, u64)]) -> RegisteredConnection {
    let acknowledged = acknowledged.to_vec();
    let connection = NewConnection { spool: SPOOL, acknowledged, ..NewConnection::new("gate") };
    archive.register_connection(connection).await.unwrap()
}

fn lost<const N: usize>(ranges: [RangeInclusive<u64>; N]) -> Vec<LostNumbers> {
    ranges.into_iter().map(|numbers| LostNumbers { class: Class::Normal, numbers }).collect()
}

async fn lost_count(archive: &Archive) -> u64 {
    archive.devices().await.unwrap()[0].lost
}

pub(crate) async fn numbers_that_were_acknowledged_and_are_unknown_are_lost(url: &str) {
    let archive = open(url).await;
    archive.apply(of_epoch(1, 1, 30)).await.unwrap();
    archive.apply(Batch { floor: 40, ..of_epoch(2, 41, 50) }).await.unwrap();
    for known in [0, 30, 35, 50] {
        let registered = connect(&archive, &[(Class::Normal, known), (Class::High, 0)]).await;
        assert_eq!((registered.lost, registered.newly_lost), (vec![], vec![]), "{known}");
    }
    let registered = connect(&archive, &[(Class::Normal, 80), (Class::High, 0)]).await;
    assert_eq!((&registered.lost, registered.newly_lost), (&lost([51..=80]), lost([51..=80])));
    // Once more before the device sends anything: nothing is counted twice.
    for acknowledged in [80, 50, 0] {
        let again = connect(&archive, &[(Class::Normal, acknowledged)]).await;
        assert_eq!((again.lost, again.newly_lost), (lost([51..=80]), vec![]), "{acknowledged}");
    }
    assert_eq!(connect(&archive, &[(Class::Normal, 85)]).await.newly_lost, lost([81..=85]));
    let high = LostNumbers { class: Class::High, numbers: 1..=2 };
    assert_eq!(connect(&archive, &[(Class::High, 2)]).await.newly_lost, [high]);
    assert_eq!(lost_count(&archive).await, 37);
    let other_spool = NewConnection { spool: SPOOL + 1, ..NewConnection::new("gate") };
    assert_eq!(archive.register_connection(other_spool).await.unwrap().lost, []);
}

pub(crate) async fn lost_numbers_are_reported_until_they_come_again(url: &str) {
    let archive = open(url).await;
    archive.apply(of_epoch(1, 1, 50)).await.unwrap();
    connect(&archive, &[(Class::Normal, 80)]).await;
    for (batch, rest, count) in [
        (of_epoch(1, 60, 65), lost([51..=59, 66..=80]), 24),
        (of_epoch(1, 60, 65), lost([51..=59, 66..=80]), 24),
        (of_epoch(2, 61, 62), lost([51..=59, 66..=80]), 24),
        (of_epoch(2, 51, 59), lost([66..=80]), 15),
        (of_epoch(2, 70, 90), lost([66..=69]), 4),
        // A number that the device has settled has not come.
        (Batch { floor: 90, ..of_epoch(2, 91, 91) }, lost([66..=69]), 4),
    ] {
        archive.apply(batch).await.unwrap();
        let registered = connect(&archive, &[(Class::Normal, 80)]).await;
        assert_eq!((registered.lost, registered.newly_lost), (rest, vec![]));
        assert_eq!(lost_count(&archive).await, count);
    }
    archive.apply(of_epoch(1, 66, 69)).await.unwrap();
    assert_eq!(connect(&archive, &[(Class::Normal, 91)]).await.lost, []);
    assert_eq!(lost_count(&archive).await, 0);
}

pub(crate) async fn a_device_that_claims_the_largest_numbers_is_listed(url: &str) {
    let archive = open(url).await;
    let largest = i64::MAX as u64;
    for spool in 0..3 {
        let acknowledged = Class::ALL.map(|class| (class, largest)).to_vec();
        let connection = NewConnection { spool, acknowledged, ..NewConnection::new("gate") };
        assert_eq!(archive.register_connection(connection).await.unwrap().newly_lost.len(), 3);
    }
    assert_eq!(lost_count(&archive).await, largest);
    let acknowledged = vec![(Class::Low, largest + 1)];
    let too_large = NewConnection { acknowledged, ..NewConnection::new("gate") };
    let error = archive.register_connection(too_large).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_backup_that_takes_the_place_of_the_archive_loses_nothing_silently() {
    let (_folder, path, url) = file();
    let backup = path.with_extension("backup");
    let archive = open(&url).await;
    let identity = archive.identity();
    archive.apply(of_epoch(1, 1, 5)).await.unwrap();
    archive.close().await;
    fs::copy(&path, &backup).unwrap();
    let archive = open(&url).await;
    assert_eq!(archive.identity(), ArchiveIdentity { generation: identity.generation + 1, ..identity });
    archive.apply(of_epoch(1, 6, 9)).await.unwrap();
    archive.close().await;
    fs::copy(&backup, &path).unwrap();
    let archive = open(&url).await;
    // The archive counts from its backup again.
    assert_eq!(archive.identity(), ArchiveIdentity { generation: identity.generation + 1, ..identity });
    assert_eq!(connect(&archive, &[(Class::Normal, 9)]).await.newly_lost, lost([6..=9]));
    assert_eq!(archive.apply(of_epoch(1, 8, 12)).await.unwrap().applied, 5);
    assert_eq!(connect(&archive, &[(Class::Normal, 12)]).await.lost, lost([6..=7]));
    assert_eq!(numbers(&archive).await, [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]);
}
