//! Kills both ends and cuts or stalls the link at random, and then checks that every frame is archived once.

use std::{collections::BTreeMap, env, time::Duration};

use lopside_e2e::CloudDecoder;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{
    agent::{Agent, Home, frames, picture},
    archived::Site,
    link::{Link, Weather},
};

/// Default duration of the outages in seconds; `LOPSIDE_OUTAGE_SECONDS` overrides it.
const SECONDS: u64 = 30;

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Triggers a random event.
fn happen(
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
        2 => link.weather.send_modify(|weather| weather.open = !weather.open),
        3 => link.weather.send_modify(|weather| weather.cut += 1),
        4 => link.weather.send_modify(|weather| weather.rate = rng.random_range(500.0..50_000.0)),
        _ => link.weather.send_modify(|weather| {
            weather.delay = Duration::from_millis(rng.random_range(0..80));
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_comes_twice_whatever_happens() {
    let seed = setting("LOPSIDE_OUTAGE_SEED").unwrap_or_else(rand::random);
    println!("LOPSIDE_OUTAGE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new();
    let link = Link::to(site.port).await;
    let home = Home::new(link.url(), "");
    let pictures = tempfile::tempdir().unwrap();
    let (mut cloud, mut agent) = (site.start(), home.start());
    let end = Instant::now() + Duration::from_secs(setting("LOPSIDE_OUTAGE_SECONDS").unwrap_or(SECONDS));
    let mut made = 0;
    while Instant::now() < end {
        for _ in 0..rng.random_range(0..20) {
            let (name, picture) = (format!("{made:06}.png"), picture(&mut rng));
            picture.save(pictures.path().join(&name)).unwrap();
            home.put(&name, &picture);
            made += 1;
        }
        happen(&mut rng, &home, &site, &mut agent, &mut cloud, &link);
        // The events happen at random times, without waiting for a state.
        sleep(Duration::from_millis(rng.random_range(0..700))).await;
    }
    link.weather.send_modify(|weather| *weather = Weather { cut: weather.cut + 1, ..Weather::FINE });
    agent.until_done(&home, made).await;
    let report = agent.until_sent(made as u64).await;
    agent.stop();
    let (status, log) = cloud.stop();
    assert!(status.success(), "{log}");
    let archived = site.archived().await;

    let classes = &report.spool.classes;
    let sum = |of: fn(&edge_encoder::agent::ClassReport) -> u64| classes.iter().map(of).sum::<u64>();
    let dropped = sum(|class| class.evicted + class.refused + class.damaged);
    assert_eq!((dropped, sum(|class| class.pending + class.in_doubt)), (0, 0), "{report:#?}");
    assert_eq!(
        sum(|class| class.produced),
        archived.applied,
        "produced = applied + dropped + pending: {report:#?}"
    );
    assert_eq!(archived.applied, archived.frames.len() as u64);
    assert!(archived.sources.iter().all(|source| source == "inbox"));

    let mut found: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for frame in archived.frames {
        *found.entry(frame).or_default() += 1;
    }
    for (number, frame) in frames(pictures.path()).into_iter().enumerate() {
        let times = found.remove(&frame);
        assert_eq!(times, Some(1), "number of times that the frame of image {number} of {made} is archived");
    }
    assert!(found.is_empty(), "{} archived frames do not belong to any image", found.len());
    println!(
        "{made} images, {} frames, {} connections at the end",
        archived.applied, report.uplink.connections
    );
}
