//! Everything fails at random moments, and then it is counted: whatever was answered as stored is in the archive once, or
//! counted as dropped, exactly.
//!
//! `LOPSIDE_OUTAGE_SEED` and `LOPSIDE_OUTAGE_SECONDS` repeat a run, as far as time lets it, and prolong it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{Arc, Mutex},
    time::Duration,
};

use lopside_spool::{Class, Counters, Options, Reason, Spool};
use lopside_uplink::{Outcome, Store, StoreSettings, UplinkSettings};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::support::{Cloud, Disk, Edge, End, Link, Pace, record, settings, until};

/// So little that records have to make room, and are refused.
const BUDGET: u64 = 512 << 10;

/// What became of the records that were produced: of each its class, and what the store has answered.
type Produced = Arc<Mutex<Vec<(Class, Option<Outcome>)>>>;

/// Both ends and the link between them.
struct World {
    rng: StdRng,
    cloud: Cloud,
    link: Link,
    disk: Disk,
    edge: Option<Edge>,
    producer: Option<JoinHandle<()>>,
    produced: Produced,
}

fn number_of<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_outage_all_is_there_once_or_counted() {
    let seed = number_of("LOPSIDE_OUTAGE_SEED").unwrap_or_else(rand::random);
    let seconds = number_of("LOPSIDE_OUTAGE_SECONDS").unwrap_or(15);
    println!("LOPSIDE_OUTAGE_SEED={seed}");
    let mut world = World::new(seed).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        world.trouble().await;
        let moment = world.rng.random_range(5..400);
        sleep(Duration::from_millis(moment)).await;
    }
    world.calm().await;
    world.check();
}

impl World {
    async fn new(seed: u64) -> Self {
        let (rng, cloud) = (StdRng::seed_from_u64(seed), Cloud::start());
        let link = Link::to(cloud.address()).await;
        let (disk, produced) = (Disk::default(), Produced::default());
        let mut world = Self { rng, cloud, link, disk, edge: None, producer: None, produced };
        world.start_edge();
        world.start_producer();
        world
    }

    fn start_edge(&mut self) {
        let store = StoreSettings { budget: BUDGET, commit_delay: Duration::from_millis(5) };
        let mut edge = Edge::open(&self.disk, store);
        let patience = Duration::from_millis(500);
        edge.connect(self.link.address, UplinkSettings { patience, ..settings() });
        self.edge = Some(edge);
    }

    fn start_producer(&mut self) {
        let store = self.edge.as_ref().unwrap().store.clone();
        let rng = StdRng::seed_from_u64(self.rng.random());
        self.producer = Some(tokio::spawn(produce(store, Arc::clone(&self.produced), rng)));
    }

    async fn end_edge(&mut self, end: End) {
        let edge = self.edge.take().unwrap();
        self.producer.take().unwrap().abort();
        self.disk = edge.end(end).await;
    }

    async fn end_and_start(&mut self, end: End) {
        self.end_edge(end).await;
        self.start_edge();
        self.start_producer();
    }

    /// One thing goes wrong, or right again.
    async fn trouble(&mut self) {
        let rng = &mut self.rng;
        let delay = Duration::from_millis(rng.random_range(0..80));
        let rate = rng.random_range(20e3..500e3);
        match rng.random_range(0..15) {
            0 => self.end_and_start(End::PowerCut).await,
            1 => self.end_and_start(End::Killed).await,
            2 => self.cloud.kill(),
            3 => self.link.change(|conditions| conditions.is_cut = true),
            4 => self.link.change(|conditions| (conditions.rate, conditions.delay) = (Some(rate), delay)),
            5..=6 => self.link.reset(),
            7 => drop(self.cloud.pace.send_replace(Pace::Takes(delay))),
            8 => self.cloud.fail_commit(),
            9 => self.disk.fail_syncs(1),
            10 => self.disk.fail_writes(1),
            _ => self.mend(),
        }
    }

    /// The cloud is there, and the link is a good one.
    fn mend(&mut self) {
        self.restart_cloud();
        self.cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
        self.link.change(|conditions| {
            (conditions.rate, conditions.delay, conditions.is_cut) = (None, Duration::ZERO, false);
        });
    }

    fn restart_cloud(&mut self) {
        self.cloud.restart();
        let to = self.cloud.address();
        self.link.change(|conditions| conditions.to = to);
    }

    /// All faults end, and all that waits arrives.
    async fn calm(&mut self) {
        self.mend();
        // On a new connection it is asked what is in doubt.
        self.end_edge(End::PowerCut).await;
        self.start_edge();
        let edge = self.edge.take().unwrap();
        until(&mut edge.state(), |state| {
            state.classes.iter().all(|(counters, pending)| *pending == 0 && counters.in_doubt().is_none())
        })
        .await;
        edge.stop().await;
    }

    fn check(&self) {
        let spool = Spool::open(self.disk.clone(), Options::new(BUDGET, 1)).unwrap();
        for class in Class::ALL {
            assert_eq!(spool.pending(class), 0);
            self.check_numbers(class, &spool.counted(class));
            self.check_records(class, &spool.counted(class));
        }
    }

    /// Every number is in the archive, once, or counted.
    fn check_numbers(&self, class: Class, counters: &Counters) {
        let entries = self.cloud.archive.of(class);
        let numbers: BTreeSet<u64> = entries.iter().map(|entry| entry.number).collect();
        let applied = entries.len() as u64;
        assert_eq!(numbers.len(), entries.len(), "{class}: a number was applied in two epochs");
        assert!(numbers.last().is_none_or(|last| *last <= counters.done), "{class}: {counters:?}");
        assert_eq!(counters.in_doubt(), None);
        assert_eq!(counters.delivered, applied, "{class}: {counters:?}");
        let dropped = counters.dropped(Reason::Evicted) + counters.dropped(Reason::Damaged);
        assert_eq!(applied + dropped, counters.done, "{class}: {counters:?}");
        println!("{class}: {counters:?}");
    }

    /// Every record that was answered is what the answer said.
    fn check_records(&self, class: Class, counters: &Counters) {
        let produced = self.produced.lock().unwrap();
        let mut applied = BTreeMap::new();
        for entry in self.cloud.archive.of(class) {
            let id = u64::from_le_bytes(entry.frame[..8].try_into().unwrap());
            assert_eq!(entry.frame, frame(id), "{class} {}", entry.number);
            assert_eq!(produced[id as usize].0, class);
            assert_eq!(applied.insert(id, entry.number), None, "record {id} was applied twice");
        }
        let answered = |outcome: Option<Outcome>| {
            let of_class =
                produced.iter().enumerate().filter(move |(_, record)| **record == (class, outcome));
            of_class.map(|(id, _)| id as u64).collect::<BTreeSet<u64>>()
        };
        let there = |ids: &BTreeSet<u64>| ids.iter().filter(|id| applied.contains_key(id)).count() as u64;
        let (stored, refused) = (answered(Some(Outcome::Stored)), answered(Some(Outcome::Refused)));
        let open = answered(None);
        assert_eq!(there(&refused), 0, "{class}: what was refused was applied");
        let missing = stored.len() as u64 - there(&stored);
        assert!(missing <= counters.dropped(Reason::Evicted), "{class}: {missing} are missing, {counters:?}");
        // Of the records that nobody was answered for, some have numbers, and some count as refused.
        let told = counters.dropped(Reason::Refused).checked_sub(refused.len() as u64);
        let numbered = counters.done.checked_sub(stored.len() as u64);
        let (told, numbered) = (told.unwrap(), numbered.unwrap());
        assert!(numbered >= there(&open) && told + numbered <= open.len() as u64, "{class}: {counters:?}");
        println!("{class}: {} stored, {} refused, {} not answered", stored.len(), refused.len(), open.len());
    }
}

/// Appends bursts of records, and waits for the answers of each.
async fn produce(store: Store, produced: Produced, mut rng: StdRng) {
    loop {
        let mut outcomes = Vec::new();
        for _ in 0..rng.random_range(1..12) {
            let class = Class::ALL[rng.random_range(0..3)];
            let id = {
                let mut produced = produced.lock().unwrap();
                produced.push((class, None));
                produced.len() as u64 - 1
            };
            let Ok(outcome) = store.append(class, record(id, frame(id))).await else { return };
            outcomes.push((id, outcome));
        }
        for (id, outcome) in outcomes {
            let Ok(outcome) = outcome.await else { return };
            produced.lock().unwrap()[id as usize].1 = Some(outcome);
        }
    }
}

/// What a record holds, by its place in all that were produced.
fn frame(id: u64) -> Vec<u8> {
    let fill = (0..50 + id * 7919 % 3000).map(|at| (at * 31 + id * 7) as u8);
    id.to_le_bytes().into_iter().chain(fill).collect()
}
