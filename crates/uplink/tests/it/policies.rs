//! Drop policies and age limits of a device that is connected, or was off.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lopside_delivery::Class;
use lopside_spool::{ClassPolicy, DropPolicy, DropReason, Options, Spool};
use lopside_uplink::{StoreOutcome, StoreSettings};

use crate::support::{Cloud, Disk, Edge, Pace, record, settings, small_frame, store_settings, until};

const CLASS: Class = Class::Normal;
const BUDGET: u64 = 300 << 10;

fn small_store(policy: ClassPolicy) -> StoreSettings {
    StoreSettings { budget_bytes: BUDGET, policies: [policy; Class::ALL.len()], ..store_settings() }
}

/// Returns a frame of 5000 bytes that begins with its number.
fn large_frame(number: u64) -> Vec<u8> {
    let mut frame = vec![number as u8; 5000];
    frame[..8].copy_from_slice(&number.to_le_bytes());
    frame
}

/// Returns the time in Unix seconds.
fn now_s() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}

#[tokio::test]
async fn the_oldest_frames_make_space_even_if_they_are_on_their_way() {
    const COUNT: u64 = 120;
    let cloud = Cloud::start();
    cloud.pace.send_replace(Pace::Held);
    let policy = ClassPolicy { drop_policy: DropPolicy::Oldest, ..ClassPolicy::default() };
    let mut edge = Edge::open(&Disk::default(), small_store(policy));
    edge.connect(cloud.address(), settings());
    edge.append(CLASS, 1, large_frame(1)).await.await.unwrap();
    until(&mut cloud.seen(), |seen| seen.messages > 0).await;
    for number in 2..=COUNT {
        let outcome = edge.append(CLASS, number, large_frame(number)).await.await.unwrap();
        assert_eq!(outcome, StoreOutcome::Stored, "{number}");
    }
    cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
    let state = until(&mut edge.state(), |state| {
        let (counters, pending) = state.classes[CLASS.index()];
        pending == 0 && counters.in_doubt().is_none()
    })
    .await;
    let (counters, _) = state.classes[CLASS.index()];
    let (evicted, archived) = (counters.dropped(DropReason::Evicted), cloud.archive.of(CLASS));
    assert!(evicted > 0 && counters.dropped(DropReason::Refused) == 0, "{counters:?}");
    assert_eq!((counters.delivered, counters.delivered + evicted), (archived.len() as u64, COUNT));
    assert_eq!(archived.last().map(|entry| entry.frame.clone()), Some(large_frame(COUNT)));
}

#[tokio::test]
async fn frames_that_became_too_old_while_the_device_was_off_are_dropped_and_counted() {
    let disk = Disk::default();
    let mut spool = Spool::open(disk.clone(), Options::new(BUDGET, 1)).unwrap();
    spool.set_time(Some(now_s() - 7200));
    for number in 1..=5 {
        spool.append(CLASS, &record(number, small_frame(number))).unwrap();
    }
    spool.commit().unwrap();
    drop(spool);
    let policy = ClassPolicy { max_age: Some(Duration::from_hours(1)), ..ClassPolicy::default() };
    let edge = Edge::open(&disk, small_store(policy));
    until(&mut edge.state(), |state| state.classes[CLASS.index()].0.dropped(DropReason::Expired) == 5).await;
    edge.store(CLASS, 6, 1).await;
    let (counters, pending) = edge.state().borrow().classes[CLASS.index()];
    assert_eq!((counters.cursor, counters.dropped(DropReason::Expired), pending), (5, 5, 1));
}
