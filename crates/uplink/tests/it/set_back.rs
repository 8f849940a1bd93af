//! A spool or an archive that was set back to an earlier state, or a device that was renamed. Every frame that the
//! archive has acknowledged must be in the archive in the end, or be reported as lost.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use lopside_delivery::Class;
use lopside_proto::v1::{FrameClass, Lost, NumberRange};
use lopside_spool::DeviceName;
use lopside_uplink::{StoreSettings, StoreSnapshot, UplinkSettings};

use crate::support::{Cloud, Disk, Edge, End, Link, settings, store_settings, until};

const CLASS: Class = Class::Normal;
/// Size of a large frame in bytes.
const LARGE: usize = 2000;

/// Waits until all frames of the class are settled.
async fn drained(edge: &Edge) -> StoreSnapshot {
    until(&mut edge.state(), |state| state.classes[CLASS.index()].1 == 0).await
}

/// Returns the numbers with which the archived frames begin.
fn contents(cloud: &Cloud) -> BTreeSet<u64> {
    let entries = cloud.archive.entries().into_iter();
    entries.map(|entry| u64::from_le_bytes(entry.frame[..8].try_into().unwrap())).collect()
}

/// Stores and delivers frames of [`LARGE`] bytes that begin with their numbers.
async fn deliver_large(edge: &Edge, first: u64, count: u64) {
    for number in first..first + count {
        let mut frame = vec![number as u8; LARGE];
        frame[..8].copy_from_slice(&number.to_le_bytes());
        edge.append(CLASS, number, frame).await.await.unwrap();
    }
    drained(edge).await;
}

fn lost(first: u64, last: u64) -> Vec<Lost> {
    vec![Lost { class: FrameClass::from(CLASS).into(), range: Some(NumberRange { first, last }) }]
}

/// Breaks the connection, and stores and delivers one more frame over the next one.
async fn reconnect_and_store(edge: &Edge, link: &Link, cloud: &Cloud, number: u64) {
    let hellos = cloud.seen().borrow().hellos;
    link.reset();
    until(&mut cloud.seen(), |seen| seen.hellos > hellos).await;
    edge.store(CLASS, number, 1).await;
    drained(edge).await;
}

#[tokio::test]
async fn a_spool_that_was_set_back_takes_a_new_name_and_loses_nothing() {
    for stored_after in [15, 0] {
        let cloud = Cloud::start();
        let disk = Disk::default();
        let mut edge = Edge::open(&disk, store_settings());
        edge.store(CLASS, 1, 20).await;
        edge.connect(cloud.address(), settings());
        let name = drained(&edge).await.spool_name;
        edge.stop().await;
        let edge = Edge::open(&disk, store_settings());
        edge.store(CLASS, 21, 5).await;
        edge.stop().await;
        let image = disk.copy();

        let mut edge = Edge::open(&disk, store_settings());
        edge.store(CLASS, 26, 15).await;
        edge.connect(cloud.address(), settings());
        assert_eq!(drained(&edge).await.spool_name, name);
        edge.stop().await;

        // The frames get numbers that the cloud knows.
        let mut edge = Edge::open(&image, store_settings());
        edge.store(CLASS, 126, stored_after).await;
        edge.connect(cloud.address(), settings());
        let state = drained(&edge).await;
        assert_eq!(state.times_renamed, 1);
        assert_ne!(state.spool_name, name);
        let counters = state.classes[CLASS.index()].0;
        assert_eq!((counters.delivered, counters.dropped), (25 + stored_after, [0; 4]));
        assert_eq!(cloud.archive.entries().len() as u64, 40 + stored_after);
        assert_eq!(contents(&cloud), (1..=40).chain(126..126 + stored_after).collect::<BTreeSet<_>>());
        let new_name = state.spool_name;
        edge.stop().await;

        // The new name is durable, and known to the cloud.
        let mut edge = Edge::open(&image, store_settings());
        edge.store(CLASS, 200, 1).await;
        edge.connect(cloud.address(), settings());
        let state = drained(&edge).await;
        assert_eq!((state.spool_name, state.times_renamed), (new_name, 1));
        edge.stop().await;
    }
}

#[tokio::test]
async fn a_renamed_device_sends_under_its_new_name_only_what_was_not_delivered() {
    let store_of = |name: &str| StoreSettings { device: DeviceName::parse(name), ..store_settings() };
    let disk = Disk::default();
    // The archive of a cloud knows the frames of one device name.
    let cloud = Cloud::start();
    let mut edge = Edge::open(&disk, store_of("gate-7"));
    edge.store(CLASS, 1, 20).await;
    edge.connect(cloud.address(), settings());
    let name = drained(&edge).await.spool_name;
    edge.stop().await;
    let edge = Edge::open(&disk, store_of("gate-7"));
    edge.store(CLASS, 21, 5).await;
    edge.stop().await;

    let cloud = Cloud::start();
    let mut edge = Edge::open(&disk, store_of("gate-8"));
    edge.store(CLASS, 26, 3).await;
    edge.connect(cloud.address(), UplinkSettings { device: "gate-8".into(), ..settings() });
    let state = drained(&edge).await;
    assert_ne!(state.spool_name, name);
    assert_eq!(state.times_renamed, 0, "it was not copied");
    let hello = cloud.seen().borrow().hello.clone().unwrap();
    let lane = &hello.lanes[CLASS.index()];
    assert_eq!((&hello.device[..], lane.settled, lane.acknowledged), ("gate-8", 20, 0));
    let counters = state.classes[CLASS.index()].0;
    assert_eq!((counters.delivered, counters.lost, counters.dropped), (28, 0, [0; 4]));
    assert_eq!(contents(&cloud), (21..=28).collect::<BTreeSet<_>>());
    edge.stop().await;
}

#[tokio::test]
async fn a_cloud_that_does_not_state_epochs_is_believed() {
    let cloud = Cloud::start();
    cloud.hide_epochs();
    let disk = Disk::default();
    let mut edge = Edge::open(&disk, store_settings());
    edge.store(CLASS, 1, 20).await;
    edge.connect(cloud.address(), settings());
    drained(&edge).await;
    // The acknowledgements are not on the disk yet, so the cloud reports the frames.
    let disk = edge.end(End::PowerCut).await;
    let mut edge = Edge::open(&disk, store_settings());
    edge.store(CLASS, 21, 5).await;
    edge.connect(cloud.address(), settings());
    let state = drained(&edge).await;
    assert_eq!((state.times_renamed, state.classes[CLASS.index()].0.delivered), (0, 25));
    assert_eq!(cloud.seen().borrow().frames, 25);
    edge.stop().await;
}

#[tokio::test]
async fn the_hello_states_what_was_acknowledged_and_the_clock() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(CLASS, 1, 20).await;
    edge.connect(link.address, settings());
    drained(&edge).await;
    link.reset();
    let seen = until(&mut cloud.seen(), |seen| seen.hellos >= 2).await;
    let hello = seen.hello.unwrap();
    let lane = &hello.lanes[CLASS.index()];
    assert_eq!((lane.settled, lane.acknowledged), (20, 20), "the spool saves them before it connects");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((now_ms - 60_000..=now_ms).contains(&hello.now_ms), "{}", hello.now_ms);
}

#[tokio::test]
async fn frames_that_the_archive_has_lost_are_sent_again() {
    let mut cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let disk = Disk::default();
    let mut edge = Edge::open(&disk, store_settings());
    edge.store(CLASS, 1, 100).await;
    edge.connect(link.address, settings());
    drained(&edge).await;
    let backup = cloud.archive.back_up();
    edge.store(CLASS, 101, 150).await;
    drained(&edge).await;
    cloud.restore(&backup);
    link.change(|conditions| conditions.target = cloud.address());
    until(&mut cloud.archive.applied(), |applied| *applied == 250).await;
    let state = drained(&edge).await;
    let counters = state.classes[CLASS.index()].0;
    assert_eq!((counters.delivered, counters.lost, counters.cursor), (250, 0, 250));
    assert_eq!(cloud.seen().borrow().frames, 400, "no other frame is sent again");

    // A restart of the device in between changes nothing.
    cloud.restore(&backup);
    let disk = edge.end(End::PowerCut).await;
    let mut edge = Edge::open(&disk, store_settings());
    edge.store(CLASS, 251, 10).await;
    edge.connect(cloud.address(), settings());
    until(&mut cloud.archive.applied(), |applied| *applied == 260).await;
    let state = drained(&edge).await;
    let counters = state.classes[CLASS.index()].0;
    assert_eq!((counters.delivered, counters.lost, counters.acknowledged), (260, 0, 260));
    assert_eq!(contents(&cloud), (1..=260).collect::<BTreeSet<_>>());
    assert_eq!(state.times_renamed, 0);
}

#[tokio::test]
async fn frames_that_neither_the_archive_nor_the_spool_has_are_counted_as_lost() {
    let mut cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let small_store =
        StoreSettings { budget_bytes: 300 << 10, keep_delivered_bytes: 40 << 10, ..store_settings() };
    let mut edge = Edge::open(&Disk::default(), small_store);
    edge.connect(link.address, settings());
    deliver_large(&edge, 1, 10).await;
    let backup = cloud.archive.back_up();
    deliver_large(&edge, 11, 50).await;
    let kept_bytes = edge.state().borrow().kept_bytes;
    assert!((1..=40 << 10).contains(&kept_bytes), "{kept_bytes}");
    cloud.restore(&backup);
    link.change(|conditions| conditions.target = cloud.address());
    edge.store(CLASS, 61, 1).await;
    until(&mut edge.state(), |state| state.classes[CLASS.index()].0.lost > 0).await;
    let counters = drained(&edge).await.classes[CLASS.index()].0;
    let stored = contents(&cloud);
    let missing: Vec<u64> = (1..=61).filter(|number| !stored.contains(number)).collect();
    assert_eq!(missing, (11..11 + counters.lost).collect::<Vec<_>>());
    assert!((10..50).contains(&counters.lost), "{counters:?}");
    assert_eq!((counters.delivered, counters.dropped), (61, [0; 4]));

    // The cloud reports the loss again, but it is counted and sent once.
    let frames_before = cloud.seen().borrow().frames;
    reconnect_and_store(&edge, &link, &cloud, 62).await;
    let after = edge.state().borrow().classes[CLASS.index()].0;
    assert_eq!((after.delivered, after.lost), (62, counters.lost));
    assert_eq!(cloud.seen().borrow().frames, frames_before + 1);
}

#[tokio::test]
async fn a_loss_that_is_reported_again_and_again_is_sent_once_per_connection() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(CLASS, 1, 20).await;
    edge.connect(link.address, settings());
    drained(&edge).await;
    cloud.invent_losses(lost(5, 9));
    for round in 1..=3 {
        link.reset();
        until(&mut cloud.seen(), |seen| seen.frames == 20 + 5 * round).await;
        let counters = drained(&edge).await.classes[CLASS.index()].0;
        assert_eq!((counters.delivered, counters.lost), (20, 0));
    }
    edge.store(CLASS, 21, 5).await;
    let state = drained(&edge).await;
    assert_eq!((state.classes[CLASS.index()].0.delivered, state.times_renamed), (25, 0));
    assert_eq!(cloud.seen().borrow().frames, 40);
}

#[tokio::test]
async fn a_loss_that_was_never_acknowledged_is_not_applied() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(CLASS, 1, 20).await;
    edge.connect(link.address, settings());
    let name = drained(&edge).await.spool_name;
    cloud.invent_losses(lost(1, 50));
    link.reset();
    // The spool may have been set back. Under a new name that is impossible.
    let expected = "the cloud sent a loss of frames that it has never acknowledged";
    let mut connection = edge.link();
    until(&mut connection, |link| link.last_error.as_ref().is_some_and(|error| error.contains(expected)))
        .await;
    edge.store(CLASS, 21, 5).await;
    let state = edge.state().borrow().clone();
    assert_eq!((state.times_renamed, state.classes[CLASS.index()].1), (1, 5));
    assert_ne!(state.spool_name, name);
    assert_eq!(cloud.seen().borrow().frames, 20);

    cloud.invent_losses(Vec::new());
    let counters = drained(&edge).await.classes[CLASS.index()].0;
    assert_eq!((counters.delivered, counters.lost, counters.dropped), (25, 0, [0; 4]));
    assert_eq!(contents(&cloud), (1..=25).collect::<BTreeSet<_>>());
}
