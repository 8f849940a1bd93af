//! The cost of a frame on the wire, from the device to the cloud.

use lopside_delivery::Class;

use crate::support::{Cloud, Disk, Edge, Link, settings, store_settings, until};

const FRAMES: u64 = 5000;
const FRAME: u64 = 25;

#[tokio::test]
async fn a_frame_costs_at_most_ten_bytes_in_bulk() {
    let cloud = Cloud::start();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.store(Class::Normal, 1, FRAMES).await;
    edge.connect(link.address, settings());
    until(&mut edge.state(), |state| state.classes[Class::Normal as usize].1 == 0).await;
    let bulk = link.sent();
    let overhead = bulk.bytes as f64 / FRAMES as f64 - FRAME as f64;
    let payload_overhead = bulk.payload as f64 / FRAMES as f64 - FRAME as f64;
    println!(
        "{FRAMES} frames: {overhead:.2} bytes of overhead per frame, {payload_overhead:.2} of them in the TCP payload"
    );
    edge.store(Class::Normal, FRAMES + 1, 1).await;
    until(&mut edge.state(), |state| state.classes[Class::Normal as usize].1 == 0).await;
    let single = link.sent();
    println!("a single frame: {} bytes", single.bytes - bulk.bytes);
    assert!(overhead <= 10.0, "{overhead:.2} bytes");
}
