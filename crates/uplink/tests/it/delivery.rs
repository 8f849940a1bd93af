//! Tests of delivery: which records arrive, in which order and how often.

use std::time::Duration;

use lopside_delivery::Class;
use lopside_uplink::{StoreOutcome, StoreSettings};

use crate::support::{Cloud, Disk, Edge, End, Link, Pace, settings, small_frame, store_settings, until};

fn numbers(cloud: &Cloud, class: Class) -> Vec<u64> {
    cloud.archive.of(class).iter().map(|entry| entry.number).collect()
}

/// Waits until all records of the store are settled.
async fn drained(edge: &Edge) {
    until(&mut edge.state(), |state| state.classes.iter().all(|(_, pending)| *pending == 0)).await;
}

#[tokio::test]
async fn records_arrive_once_in_order_and_unchanged() {
    let cloud = Cloud::start();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.connect(cloud.address(), settings());
    for class in Class::ALL {
        edge.store(class, 1, 500).await;
    }
    drained(&edge).await;
    for class in Class::ALL {
        let entries = cloud.archive.of(class);
        assert_eq!(numbers(&cloud, class), (1..=500).collect::<Vec<_>>(), "{class}");
        for entry in entries {
            let captured_ms = 1_790_000_000_000 + 1000 * entry.number as i64;
            assert_eq!((entry.captured_ms, &entry.source[..]), (captured_ms, "camera"));
            assert_eq!(entry.frame, small_frame(entry.number));
        }
    }
    assert_eq!(cloud.seen().borrow().frames, 1500, "no frame may be sent twice");
}

#[tokio::test]
async fn urgent_records_overtake_a_backlog() {
    let cloud = Cloud::start();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(Class::Low, 1, 3000).await;
    edge.store(Class::Normal, 1, 3000).await;
    cloud.pace.send_replace(Pace::Held);
    edge.connect(cloud.address(), settings());
    until(&mut cloud.seen(), |seen| seen.messages >= 2).await;
    edge.store(Class::High, 1, 10).await;
    cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
    drained(&edge).await;
    let entries = cloud.archive.entries();
    let position = |class: Class, is_last: bool| {
        let mut positions = (0..entries.len()).filter(|&position| entries[position].class == class);
        if is_last { positions.next_back() } else { positions.next() }.unwrap()
    };
    // Only frames that were already in flight may precede it: a first window of 16 KiB.
    assert!(position(Class::High, true) < 800, "{}", position(Class::High, true));
    assert!(position(Class::Normal, true) < position(Class::Low, false));
}

#[tokio::test]
async fn archived_records_are_not_sent_again() {
    let mut cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(Class::Normal, 1, 4000).await;
    cloud.pace.send_replace(Pace::Held);
    edge.connect(link.address, settings());
    until(&mut cloud.seen(), |seen| seen.messages >= 3).await;
    let received = cloud.seen().borrow().frames;
    cloud.kill();
    cloud.restart();
    link.change(|conditions| conditions.target = cloud.address());
    cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
    drained(&edge).await;
    assert_eq!(numbers(&cloud, Class::Normal), (1..=4000).collect::<Vec<_>>());
    assert!(
        cloud.seen().borrow().frames >= 4000 + received,
        "frames that were not committed must be sent again"
    );
    let frames_before = cloud.seen().borrow().frames;
    let hellos = cloud.seen().borrow().hellos;
    link.reset();
    until(&mut cloud.seen(), |seen| seen.hellos > hellos).await;
    edge.store(Class::Normal, 4001, 100).await;
    drained(&edge).await;
    assert_eq!(cloud.seen().borrow().frames, frames_before + 100);
}

#[tokio::test]
async fn committed_but_unacknowledged_records_are_not_sent_again() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let disk = Disk::default();
    let mut edge = Edge::open(&disk, store_settings());
    edge.connect(link.address, settings());
    edge.store(Class::High, 1, 10).await;
    drained(&edge).await;
    // The delay is so long that the acknowledgement does not arrive before the device ends.
    link.change(|conditions| conditions.delay = Duration::from_secs(1));
    edge.store(Class::High, 11, 20).await;
    until(&mut cloud.archive.applied(), |applied| *applied == 30).await;
    let disk = edge.end(End::PowerCut).await;
    link.change(|conditions| conditions.delay = Duration::ZERO);
    let frames_before = cloud.seen().borrow().frames;
    let mut edge = Edge::open(&disk, store_settings());
    edge.store(Class::High, 31, 5).await;
    edge.connect(link.address, settings());
    drained(&edge).await;
    assert_eq!(numbers(&cloud, Class::High), (1..=35).collect::<Vec<_>>());
    assert_eq!(cloud.seen().borrow().frames, frames_before + 5);
    assert_eq!(edge.state().borrow().classes[Class::High as usize].0.delivered, 35);
}

#[tokio::test]
async fn settled_numbers_reach_the_cloud() {
    let cloud = Cloud::start();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.connect(cloud.address(), settings());
    edge.store(Class::Normal, 1, 50).await;
    drained(&edge).await;
    assert_eq!(
        cloud.archive.floor(Class::Normal),
        0,
        "numbers that are not settled on disk must not be announced"
    );
    until(&mut edge.state(), |state| state.settled[Class::Normal as usize] == 50).await;
    edge.store(Class::Normal, 51, 1).await;
    drained(&edge).await;
    assert_eq!(cloud.archive.floor(Class::Normal), 50);
}

#[tokio::test]
async fn a_skipped_acknowledgement_loses_nothing() {
    let cloud = Cloud::start();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(Class::Normal, 1, 1000).await;
    cloud.pace.send_replace(Pace::Held);
    edge.connect(cloud.address(), settings());
    until(&mut cloud.seen(), |seen| seen.messages >= 3).await;
    // The commit of the first message fails, and the messages after it are committed and acknowledged.
    cloud.fail_commit();
    cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
    drained(&edge).await;
    let mut arrived = numbers(&cloud, Class::Normal);
    arrived.sort_unstable();
    assert_eq!(arrived, (1..=1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_evicted_in_an_outage_are_counted_correctly() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let small_store = StoreSettings { budget_bytes: 300 << 10, ..store_settings() };
    let mut edge = Edge::open(&Disk::default(), small_store);
    for number in 1..=100 {
        edge.append(Class::Low, number, vec![1; 2000]).await;
    }
    edge.store.flush().await.unwrap();
    edge.connect(link.address, settings());
    cloud.pace.send_replace(Pace::Held);
    until(&mut cloud.seen(), |seen| seen.messages >= 2).await;
    // The accepted messages are applied after the connection has ended, so they are never acknowledged.
    link.change(|conditions| conditions.is_cut = true);
    link.reset();
    let mut connection = edge.link();
    until(&mut connection, |link| link.last_error.is_some()).await;
    cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
    until(&mut cloud.archive.applied(), |applied| *applied > 0).await;
    let mut refused = 0;
    for number in 1..=120 {
        let outcome = edge.append(Class::High, number, vec![2; 2000]).await.await.unwrap();
        refused += u64::from(outcome == StoreOutcome::Refused);
    }
    assert_eq!(refused, 0, "records that were read must be evicted as well");
    assert!(edge.state().borrow().classes[Class::Low as usize].0.in_doubt_count() > 0);
    link.change(|conditions| conditions.is_cut = false);
    drained(&edge).await;
    let (low, _) = edge.state().borrow().classes[Class::Low as usize];
    let applied = cloud.archive.of(Class::Low).len() as u64;
    assert_eq!((low.delivered, low.in_doubt_count(), low.cursor), (applied, 0, 100));
    assert_eq!(low.delivered + low.dropped.iter().sum::<u64>(), 100);
}
