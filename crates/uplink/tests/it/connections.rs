//! Tests of ended connections and of reconnecting.

use std::time::Duration;

use lopside_delivery::Class;
use lopside_uplink::UplinkSettings;
use tokio::time::Instant;
use tonic::Status;

use crate::support::{Cloud, Disk, Edge, Link, Pace, settings, store_settings, until};

#[tokio::test]
async fn a_partition_is_detected_after_the_timeout() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    let ack_timeout = Duration::from_secs(1);
    edge.connect(link.address, UplinkSettings { ack_timeout, ..settings() });
    let mut connection = edge.link();
    until(&mut connection, |link| link.connected_at.is_some()).await;
    link.change(|conditions| conditions.is_cut = true);
    let cut_at = Instant::now();
    edge.store(Class::Normal, 1, 3).await;
    let seen = until(&mut connection, |link| link.last_error.is_some()).await;
    assert_eq!(seen.last_error.as_deref(), Some("no acknowledgement for 1 s"));
    assert!(cut_at.elapsed() >= ack_timeout);
    assert_eq!(seen.connected_at, None);
    link.change(|conditions| conditions.is_cut = false);
    until(&mut cloud.archive.applied(), |applied| *applied == 3).await;
}

#[tokio::test]
async fn a_refused_hello_is_reported_and_retried() {
    for status in
        [Status::invalid_argument("no such device"), Status::unauthenticated("the key is not known")]
    {
        let cloud = Cloud::start();
        cloud.refuse(Some(status.clone()));
        let mut edge = Edge::open(&Disk::default(), store_settings());
        edge.connect(cloud.address(), settings());
        let mut connection = edge.link();
        let seen = until(&mut connection, |link| link.last_error.is_some()).await;
        let error = seen.last_error.unwrap();
        assert!(
            error.contains(status.message()) && error.contains(&format!("{:?}", status.code())),
            "{error}"
        );
        until(&mut cloud.seen(), |seen| seen.hellos >= 3).await;
        assert_eq!(connection.borrow().connection_count, 0);
        cloud.refuse(None);
        edge.store(Class::High, 1, 1).await;
        until(&mut cloud.archive.applied(), |applied| *applied == 1).await;
        assert_eq!(connection.borrow().last_error, None);
    }
}

#[tokio::test]
async fn a_requested_pause_is_observed() {
    let cloud = Cloud::start();
    let mut status = Status::unavailable("the server stops");
    status.metadata_mut().insert("grpc-retry-pushback-ms", 700.into());
    cloud.refuse(Some(status));
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.connect(cloud.address(), settings());
    until(&mut cloud.seen(), |seen| seen.hellos == 1).await;
    let first = Instant::now();
    until(&mut cloud.seen(), |seen| seen.hellos == 2).await;
    assert!(first.elapsed() >= Duration::from_millis(690), "{:?}", first.elapsed());
}

#[tokio::test]
async fn an_unreachable_cloud_is_reported_until_it_answers() {
    let mut cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    cloud.kill();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.connect(link.address, settings());
    edge.store(Class::Low, 1, 10).await;
    let mut connection = edge.link();
    until(&mut connection, |link| link.last_error.is_some()).await;
    cloud.restart();
    link.change(|conditions| conditions.target = cloud.address());
    until(&mut cloud.archive.applied(), |applied| *applied == 10).await;
}

#[tokio::test]
async fn a_newer_connection_supersedes_the_older_one() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(Class::Normal, 1, 2000).await;
    cloud.pace.send_replace(Pace::Held);
    edge.connect(link.address, settings());
    until(&mut cloud.seen(), |seen| seen.messages >= 3).await;
    let received = cloud.seen().borrow().frames;
    link.reset();
    until(&mut cloud.seen(), |seen| seen.hellos == 2).await;
    assert_eq!(cloud.archive.entries().len(), 0);
    cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
    until(&mut edge.state(), |state| state.classes[Class::Normal as usize].1 == 0).await;
    assert_eq!(cloud.archive.entries().len(), 2000);
    let seen = cloud.seen().borrow().clone();
    assert!(
        seen.frames >= 2000 + received,
        "frames of the older connection must not be applied: {seen:?} after {received}"
    );
}

#[tokio::test]
async fn numbers_of_a_removed_spool_do_not_count_for_the_new_one() {
    let cloud = Cloud::start();
    for (disk, frames) in [(Disk::default(), 50), (Disk::default(), 30)] {
        let mut edge = Edge::open(&disk, store_settings());
        edge.store(Class::Normal, 1, frames).await;
        edge.connect(cloud.address(), settings());
        until(&mut edge.state(), |state| state.classes[Class::Normal as usize].1 == 0).await;
        let delivered = edge.state().borrow().classes[Class::Normal as usize].0.delivered;
        assert_eq!(delivered, frames);
        edge.stop().await;
    }
    assert_eq!(cloud.archive.entries().len(), 80);
}
