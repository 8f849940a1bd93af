//! Guarantees of the store when its disk is full, fails or loses power.

use std::{collections::BTreeSet, time::Duration};

use lopside_delivery::{Class, MAX_FRAME_BYTES};
use lopside_spool::{DropReason, MachineId, Options, Spool, SpoolError};
use lopside_uplink::{CapturedFrame, RefusalPolicy, Store, StoreOutcome, StoreSettings, UplinkError};
use tokio::task::JoinSet;

use crate::support::{Cloud, Disk, Edge, End, Link, record, settings, small_frame, store_settings, until};

/// Opens a spool on the disk, and returns the number at the start of each frame of a class.
fn stored_numbers(disk: &Disk, class: Class) -> Vec<u64> {
    let mut spool = Spool::open(disk.clone(), Options::new(store_settings().budget_bytes, 1)).unwrap();
    let mut numbers = Vec::new();
    loop {
        let records = spool.read(class).unwrap();
        if records.is_empty() {
            return numbers;
        }
        for record in records {
            let captured = <CapturedFrame as prost::Message>::decode(&record.bytes[..]).unwrap();
            numbers.push(u64::from_le_bytes(captured.frame[..8].try_into().unwrap()));
        }
    }
}

/// Appends this many numbered frames, waits for the answers, and returns the numbers of the stored ones.
async fn append_all(edge: &Edge, class: Class, count: u64) -> BTreeSet<u64> {
    let mut tasks = JoinSet::new();
    for number in 1..=count {
        let outcome = edge.append(class, number, small_frame(number)).await;
        tasks.spawn(async move { (number, outcome.await) });
    }
    let outcomes = tasks.join_all().await.into_iter();
    outcomes.filter(|(_, outcome)| *outcome == Ok(StoreOutcome::Stored)).map(|(number, _)| number).collect()
}

#[tokio::test]
async fn stored_records_survive_a_power_cut() {
    let edge = Edge::open(&Disk::default(), store_settings());
    let mut stored = BTreeSet::new();
    for number in 1..=50 {
        let outcome = edge.append(Class::Normal, number, small_frame(number)).await;
        if number <= 40 {
            assert_eq!(outcome.await.unwrap(), StoreOutcome::Stored);
            stored.insert(number);
        }
    }
    let disk = edge.end(End::PowerCut).await;
    let numbers = stored_numbers(&disk, Class::Normal);
    assert!(stored.iter().all(|number| numbers.contains(number)), "{numbers:?}");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_write_or_sync_loses_and_duplicates_nothing() {
    for (writes, syncs) in [(1, 0), (0, 1), (2, 0), (0, 2), (2, 2)] {
        let disk = Disk::default();
        let edge = Edge::open(&disk, store_settings());
        edge.store(Class::High, 1, 5).await;
        disk.fail_writes(writes);
        disk.fail_syncs(syncs);
        let stored = append_all(&edge, Class::Normal, 600).await;
        assert_eq!(stored.len(), 600, "all frames must be stored in the end");
        assert!(*disk.failures().borrow() > 0);
        until(&mut edge.state(), |state| state.failure.is_none()).await;
        let disk = edge.end(End::PowerCut).await;
        assert_eq!(
            stored_numbers(&disk, Class::Normal),
            (1..=600).collect::<Vec<_>>(),
            "{writes} writes, {syncs} syncs"
        );
        assert_eq!(stored_numbers(&disk, Class::High), [1, 2, 3, 4, 5]);
    }
}

#[tokio::test]
async fn repeated_disk_failures_are_reported_and_recovered_from() {
    let disk = Disk::default();
    let edge = Edge::open(&disk, store_settings());
    let failing = disk.clone();
    let mut failures = disk.failures();
    let fault_task = tokio::spawn(async move {
        for times in 1..=20 {
            failing.fail_syncs(1);
            until(&mut failures, |failures| *failures >= times).await;
        }
    });
    let mut stored = 0;
    while !fault_task.is_finished() {
        edge.append(Class::Low, stored + 1, small_frame(stored + 1)).await.await.unwrap();
        stored += 1;
    }
    fault_task.await.unwrap();
    let disk = edge.end(End::Killed).await;
    assert_eq!(stored_numbers(&disk, Class::Low), (1..=stored).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_spool_refuses_records_and_saves_their_count() {
    let settings = StoreSettings { budget_bytes: 300 << 10, ..store_settings() };
    let edge = Edge::open(&Disk::default(), settings);
    let mut refused = 0;
    for number in 1..=200 {
        let outcome = edge.append(Class::Normal, number, vec![3; 2000]).await.await.unwrap();
        refused += u64::from(outcome == StoreOutcome::Refused);
    }
    let too_large = edge.append(Class::High, 1, vec![0; 200 << 10]).await;
    assert_eq!(too_large.await.unwrap(), StoreOutcome::TooLarge);
    assert!(refused > 0);
    // The answers remain valid after a power cut.
    let disk = edge.end(End::PowerCut).await;
    let spool = Spool::open(disk, Options::new(300 << 10, 1)).unwrap();
    assert_eq!(spool.class_counters(Class::Normal).dropped(DropReason::Refused), refused);
    assert_eq!(spool.pending_records(Class::Normal), 200 - refused);
    assert_eq!(spool.class_counters(Class::High).dropped(DropReason::Refused), 1);
}

#[tokio::test]
async fn a_record_that_the_caller_keeps_is_counted_once_it_is_stored() {
    let small_store = StoreSettings { budget_bytes: 300 << 10, ..store_settings() };
    let mut edge = Edge::open(&Disk::default(), small_store);
    let append =
        |number| edge.store.append(Class::Normal, record(number, vec![3; 2000]), RefusalPolicy::Keep);
    let mut stored = 0;
    while append(stored + 1).await.unwrap().await.unwrap() == StoreOutcome::Stored {
        stored += 1;
    }
    assert_eq!(append(stored + 1).await.unwrap().await.unwrap(), StoreOutcome::Refused);
    let (counters, pending) = edge.state().borrow().classes[Class::Normal.index()];
    assert_eq!((counters.dropped(DropReason::Refused), pending), (0, stored));
    // Nothing makes such a record smaller, so it is given up.
    let too_large = edge.store.append(Class::High, vec![0; 200 << 10], RefusalPolicy::Keep).await.unwrap();
    assert_eq!(too_large.await.unwrap(), StoreOutcome::TooLarge);
    assert_eq!(edge.state().borrow().classes[Class::High.index()].0.dropped(DropReason::Refused), 1);

    let cloud = Cloud::start();
    edge.connect(cloud.address(), settings());
    until(&mut edge.state(), |state| state.classes[Class::Normal.index()].1 == 0).await;
    edge.store(Class::Normal, stored + 1, 1).await;
    let state = until(&mut edge.state(), |state| state.classes[Class::Normal.index()].1 == 0).await;
    let counters = state.classes[Class::Normal.index()].0;
    assert_eq!((counters.delivered, counters.dropped), (stored + 1, [0; 4]));
    assert_eq!(cloud.archive.entries().len() as u64, stored + 1);
    edge.stop().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_and_blocks_nothing() {
    let settings = StoreSettings { budget_bytes: 100 << 20, ..store_settings() };
    let edge = Edge::open(&Disk::default(), settings);
    let largest = MAX_FRAME_BYTES;
    for (len, expected) in [
        (largest, StoreOutcome::Stored),
        (largest + 2000, StoreOutcome::TooLarge),
        (10, StoreOutcome::Stored),
    ] {
        assert_eq!(edge.append(Class::Normal, 1, vec![1; len]).await.await.unwrap(), expected, "{len}");
    }
    let counters = edge.state().borrow().classes[Class::Normal as usize];
    assert_eq!((counters.0.dropped(DropReason::Refused), counters.1), (1, 2));
    edge.stop().await;
}

#[tokio::test]
async fn a_refusal_is_counted_once_despite_a_disk_failure() {
    for offset in 0..40_u64 {
        let disk = Disk::default();
        let settings = StoreSettings { budget_bytes: 300 << 10, ..store_settings() };
        let edge = Edge::open(&disk, settings);
        let mut outcomes = Vec::new();
        let mut refused = 0;
        for number in 1..=160 {
            if number == 110 + offset {
                disk.fail_syncs(1 + offset % 2);
            }
            outcomes.push(edge.append(Class::Normal, number, vec![3; 2000]).await);
        }
        for outcome in outcomes {
            refused += u64::from(outcome.await.unwrap() == StoreOutcome::Refused);
        }
        let disk = edge.end(End::PowerCut).await;
        let spool = Spool::open(disk, Options::new(300 << 10, 1)).unwrap();
        let counted = spool.class_counters(Class::Normal).dropped(DropReason::Refused);
        assert_eq!((counted, spool.pending_records(Class::Normal)), (refused, 160 - refused), "{offset}");
    }
}

#[tokio::test]
async fn the_thread_ends_with_the_last_handle_after_a_last_commit() {
    let disk = Disk::default();
    let settings = StoreSettings { commit_delay: Duration::from_hours(1), ..store_settings() };
    let edge = Edge::open(&disk, settings);
    let outcome = edge.append(Class::High, 1, small_frame(1)).await;
    edge.stop().await;
    assert_eq!(outcome.await.unwrap(), StoreOutcome::Stored);
    assert_eq!(stored_numbers(&disk.end(End::PowerCut), Class::High), [1]);
}

#[tokio::test]
async fn the_thread_ends_after_a_disk_failure_without_a_reply() {
    let disk = Disk::default();
    let settings = StoreSettings { commit_delay: Duration::from_hours(1), ..store_settings() };
    let edge = Edge::open(&disk, settings);
    let outcome = edge.append(Class::High, 1, small_frame(1)).await;
    edge.end(End::PowerCut).await;
    assert!(outcome.await.is_err());
}

#[tokio::test]
async fn a_second_store_is_refused_and_the_first_loses_nothing() {
    let disk = Disk::default();
    let edge = Edge::open(&disk, store_settings());
    edge.store(Class::Normal, 1, 5).await;
    let storage = disk.clone();
    let error = Store::start(move || Ok(storage.clone()), store_settings()).unwrap_err();
    assert!(matches!(error, UplinkError::Spool(SpoolError::InUse { .. })), "{error}");
    edge.store(Class::Normal, 6, 20).await;
    let disk = edge.end(End::PowerCut).await;
    assert_eq!(stored_numbers(&disk, Class::Normal), (1..=25).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_whose_files_another_program_removes_are_counted() {
    let mut cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let (disk, normal) = (Disk::default(), Class::Normal as usize);
    let mut edge = Edge::open(&disk, store_settings());
    edge.connect(link.address, settings());
    edge.store(Class::Normal, 1, 5).await;
    until(&mut edge.state(), |state| state.classes[normal].1 == 0).await;
    let spool_name = edge.state().borrow().spool_name;
    cloud.kill();
    edge.store(Class::Normal, 6, 3).await;
    disk.remove_all();
    // The store opens the spool again before it answers.
    edge.store(Class::Normal, 9, 2).await;
    cloud.restart();
    link.change(|conditions| conditions.target = cloud.address());
    let state = until(&mut edge.state(), |state| state.classes[normal].1 == 0).await;
    let counters = state.classes[normal].0;
    assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (7, 3));
    assert_eq!((cloud.archive.entries().len(), state.spool_name), (7, spool_name));
    edge.stop().await;
}

#[tokio::test]
async fn a_spool_and_its_copy_on_another_machine_lose_nothing() {
    let cloud = Cloud::start();
    let on_machine =
        |digit: &str| StoreSettings { machine: MachineId::parse(&digit.repeat(32)), ..store_settings() };
    let disk = Disk::default();
    let edge = Edge::open(&disk, on_machine("a"));
    edge.store(Class::Normal, 1, 20).await;
    edge.stop().await;
    // Both have the first 20 records, and number 30 others in the same way.
    for (disk, machine, first) in [(disk.copy(), "b", 101), (disk, "a", 201)] {
        let mut edge = Edge::open(&disk, on_machine(machine));
        edge.store(Class::Normal, first, 30).await;
        edge.connect(cloud.address(), settings());
        let normal = Class::Normal as usize;
        let state = until(&mut edge.state(), |state| state.classes[normal].1 == 0).await;
        assert_eq!(state.classes[normal].0.delivered, 50);
        edge.stop().await;
    }
    assert_eq!(cloud.archive.entries().len(), 80);
}
