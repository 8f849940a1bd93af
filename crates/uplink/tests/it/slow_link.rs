//! A link of 1 Mbit/s with a round-trip time of 300 ms.

use std::time::Duration;

use lopside_delivery::Class;
use tokio::time::Instant;

use crate::support::{Cloud, Disk, Edge, Link, settings, store_settings, until};

const RATE: f64 = 125e3;
const FRAME: usize = 1000;

#[tokio::test]
async fn a_backlog_fills_a_slow_link_and_what_is_important_passes_it() {
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
    let begin = Instant::now();
    edge.store(Class::High, 1, 1).await;
    until(&mut edge.state(), |state| state.classes[Class::High as usize].1 == 0).await;
    let waited = begin.elapsed();
    let last = until(&mut applied, |applied| *applied > 1000).await;
    let used = ((last - first) * FRAME) as f64 / begin.elapsed().as_secs_f64() / RATE;
    println!("{used:.3} of the link is used; a record of class high is acknowledged after {waited:?}");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert!(used > 0.9, "{used:.3}");
}
