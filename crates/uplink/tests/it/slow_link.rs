//! A link of 1 Mbit/s with a round-trip time of 300 ms.

use std::time::Duration;

use lopside_delivery::Class;
use tokio::time::Instant;

use crate::support::{Cloud, Disk, Edge, Link, settings, store_settings, until};

const RATE: f64 = 125e3;
const FRAME: usize = 1000;

#[tokio::test]
async fn a_backlog_fills_a_slow_link_and_urgent_records_overtake_it() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    link.change(|conditions| {
        (conditions.rate, conditions.delay) = (Some(RATE), Duration::from_millis(150));
    });
    let mut edge = Edge::open(&Disk::default(), store_settings());
    for number in 1..=1200 {
        edge.append(Class::Normal, number, vec![7; FRAME]).await;
    }
    edge.store.flush().await.unwrap();
    edge.connect(link.address, settings());
    // By then, the window has adapted to the link.
    let mut applied = cloud.archive.applied();
    let first = until(&mut applied, |applied| *applied > 300).await;
    let start = Instant::now();
    edge.store(Class::High, 1, 1).await;
    until(&mut edge.state(), |state| state.classes[Class::High as usize].1 == 0).await;
    let latency = start.elapsed();
    let last = until(&mut applied, |applied| *applied > 1000).await;
    let utilisation = ((last - first) * FRAME) as f64 / start.elapsed().as_secs_f64() / RATE;
    println!(
        "{utilisation:.3} of the link is used; a record of class high is acknowledged after {latency:?}"
    );
    assert!(latency < Duration::from_secs(1), "{latency:?}");
    assert!(utilisation > 0.9, "{utilisation:.3}");
}
