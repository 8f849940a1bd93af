//! Kills both ends and cuts or stalls the link at random, and then checks that every frame is archived once.

use std::{collections::BTreeMap, env, time::Duration};

use lopside_e2e::CloudDecoder;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{
    agent::{Agent, Home, frames, random_image},
    archived::Site,
    link::{Link, LinkState},
};

/// Default duration of the outages in seconds; `LOPSIDE_OUTAGE_SECONDS` overrides it.
const DEFAULT_SECONDS: u64 = 30;

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Triggers a random event.
fn trigger_event(
    rng: &mut StdRng,
    home: &Home,
    site: &Site,
    agent: &mut Agent,
    cloud: &mut CloudDecoder,
    link: &Link,
) {
    match rng.random_range(0..6) {
        0 => {
            agent.kill();
            *agent = home.start();
        }
        1 => {
            cloud.kill();
            *cloud = site.start();
        }
        2 => link.state.send_modify(|state| state.is_open = !state.is_open),
        3 => link.state.send_modify(|state| state.cut_count += 1),
        4 => link.state.send_modify(|state| state.rate = rng.random_range(500.0..50_000.0)),
        _ => link.state.send_modify(|state| {
            state.delay = Duration::from_millis(rng.random_range(0..80));
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_archived_exactly_once() {
    let seed = setting("LOPSIDE_OUTAGE_SEED").unwrap_or_else(rand::random);
    println!("LOPSIDE_OUTAGE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new();
    let link = Link::to(site.port).await;
    let home = Home::new(link.url(), "");
    let images = tempfile::tempdir().unwrap();
    let (mut cloud, mut agent) = (site.start(), home.start());
    let deadline =
        Instant::now() + Duration::from_secs(setting("LOPSIDE_OUTAGE_SECONDS").unwrap_or(DEFAULT_SECONDS));
    let mut image_count = 0;
    while Instant::now() < deadline {
        for _ in 0..rng.random_range(0..20) {
            let (name, image) = (format!("{image_count:06}.png"), random_image(&mut rng));
            image.save(images.path().join(&name)).unwrap();
            home.put(&name, &image);
            image_count += 1;
        }
        trigger_event(&mut rng, &home, &site, &mut agent, &mut cloud, &link);
        // The events happen at random times, without waiting for a state.
        sleep(Duration::from_millis(rng.random_range(0..700))).await;
    }
    link.state.send_modify(|state| *state = LinkState { cut_count: state.cut_count + 1, ..LinkState::IDEAL });
    agent.until_done(&home, image_count).await;
    let report = agent.until_sent(image_count as u64).await;
    agent.stop();
    let (status, log) = cloud.stop();
    assert!(status.success(), "{log}");
    let archived = site.archived().await;

    let classes = &report.spool.classes;
    let sum = |field: fn(&edge_encoder::agent::ClassReport) -> u64| classes.iter().map(field).sum::<u64>();
    let dropped = sum(|class| class.evicted + class.refused + class.damaged);
    assert_eq!((dropped, sum(|class| class.pending + class.in_doubt)), (0, 0), "{report:#?}");
    assert_eq!(
        sum(|class| class.produced),
        archived.applied,
        "produced = applied + dropped + pending: {report:#?}"
    );
    assert_eq!(archived.applied, archived.frames.len() as u64);
    assert!(archived.sources.iter().all(|source| source == "inbox"));

    let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for frame in archived.frames {
        *counts.entry(frame).or_default() += 1;
    }
    for (number, frame) in frames(images.path()).into_iter().enumerate() {
        let count = counts.remove(&frame);
        assert_eq!(
            count,
            Some(1),
            "number of times that the frame of image {number} of {image_count} is archived"
        );
    }
    assert!(counts.is_empty(), "{} archived frames do not belong to any image", counts.len());
    println!(
        "{image_count} images, {} frames, {} connections at the end",
        archived.applied, report.uplink.connections
    );
}
