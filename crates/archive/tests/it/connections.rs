//! Connections of devices: only the newest one counts.

use std::collections::BTreeMap;

use lopside_archive::{ArchiveError, Batch, NewConnection};
use tokio::task::JoinSet;

use crate::{batch, known, open};

pub(crate) async fn only_the_newest_connection_of_a_device_applies_anything(url: &str) {
    let servers = [open(url).await, open(url).await];
    let new_batch =
        |connection, first, last| Batch { connection: Some(connection), ..batch("gate", first, last) };
    let older = servers[0].register_connection(NewConnection::new("gate")).await.unwrap().number;
    servers[0].apply(new_batch(older, 1, 3)).await.unwrap();
    let newer = servers[1].register_connection(NewConnection::new("gate")).await.unwrap().number;
    let (late, other) =
        tokio::join!(servers[0].apply(new_batch(older, 4, 6)), servers[0].apply(batch("door", 1, 1)));
    let error = late.unwrap_err();
    assert!(matches!(&error, ArchiveError::Superseded { device } if device == "gate"), "{error}");
    assert_eq!(other.unwrap().applied, 1, "only the late batch is refused");
    assert_eq!(known(&servers[1], "gate", 0, 1).await, [(1, vec![1..=3])]);
    assert_eq!(servers[1].apply(new_batch(newer, 4, 5)).await.unwrap().applied, 2);
    let invalid = servers[0].register_connection(NewConnection::new("two words")).await;
    assert!(matches!(invalid, Err(ArchiveError::Refused { .. })));
}

pub(crate) async fn many_connections_are_registered_together(url: &str) {
    let archive = open(url).await;
    let mut connections = JoinSet::new();
    let mut batches = JoinSet::new();
    for _ in 0..10 {
        for device in 0..20 {
            let (registering, applying) = (archive.clone(), archive.clone());
            connections.spawn(async move {
                let connection = NewConnection::new(&format!("device-{device}"));
                (device, registering.register_connection(connection).await.unwrap().number)
            });
            batches.spawn(async move { applying.apply(batch(&format!("device-{device}"), 1, 3)).await });
        }
    }
    let mut numbers = BTreeMap::<u32, Vec<u64>>::new();
    for (device, number) in connections.join_all().await {
        numbers.entry(device).or_default().push(number);
    }
    for numbers in numbers.values_mut() {
        numbers.sort_unstable();
        assert_eq!(*numbers, (1..=10).collect::<Vec<_>>(), "each connection has a number of its own");
    }
    let applied = batches.join_all().await.into_iter().map(|outcome| outcome.unwrap().applied);
    assert_eq!((numbers.len(), applied.sum::<u64>()), (20, 60));
}

pub(crate) async fn displaced_connections_are_counted(url: &str) {
    let archive = open(url).await;
    for displaced in [0, 2, 1] {
        let connection = NewConnection { displaced, ..NewConnection::new("gate") };
        archive.register_connection(connection).await.unwrap();
    }
    let device = archive.devices().await.unwrap().remove(0);
    assert_eq!((&device.name[..], device.displaced, device.applied), ("gate", 3, 0));
}
