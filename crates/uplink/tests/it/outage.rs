//! Everything fails at random times. Afterwards, every record that was answered as stored must be in the
//! archive exactly once, or counted as dropped.
//!
//! `LOPSIDE_OUTAGE_SEED` repeats a run, as far as timing permits, and `LOPSIDE_OUTAGE_SECONDS` sets its
//! duration.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{Arc, Mutex},
    time::Duration,
};

use lopside_delivery::Class;
use lopside_spool::{ClassPolicy, Counters, DropPolicy, DropReason, Options, Spool};
use lopside_uplink::{RefusalPolicy, Store, StoreOutcome, StoreSettings, UplinkSettings};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::support::{Cloud, Disk, Edge, End, Link, Pace, record, settings, until};

/// Budget of the spool in bytes, so small that records are evicted and refused.
const BUDGET: u64 = 512 << 10;

/// The class of each produced record, and the answer of the store; `None` without an answer.
type Produced = Arc<Mutex<Vec<(Class, Option<StoreOutcome>)>>>;

/// The device, the cloud and the link between them.
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
async fn after_every_outage_each_record_is_archived_once_or_counted() {
    let seed = number_of("LOPSIDE_OUTAGE_SEED").unwrap_or_else(rand::random);
    let seconds = number_of("LOPSIDE_OUTAGE_SECONDS").unwrap_or(15);
    println!("LOPSIDE_OUTAGE_SEED={seed}");
    let mut world = World::new(seed).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        world.trouble().await;
        let pause_ms = world.rng.random_range(5..400);
        sleep(Duration::from_millis(pause_ms)).await;
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
        let commit_delay = Duration::from_millis(5);
        let drop_policy = if self.rng.random() { DropPolicy::Oldest } else { DropPolicy::Newest };
        let store = StoreSettings {
            budget_bytes: BUDGET,
            keep_delivered_bytes: u64::MAX,
            policies: [ClassPolicy { drop_policy, max_age: None }; Class::ALL.len()],
            commit_delay,
            machine: None,
            device: None,
        };
        let mut edge = Edge::open(&self.disk, store);
        let ack_timeout = Duration::from_millis(500);
        edge.connect(self.link.address, UplinkSettings { ack_timeout, ..settings() });
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

    /// Causes one random fault, or repairs the cloud and the link.
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

    /// Restarts the cloud, and restores a fast link.
    fn mend(&mut self) {
        self.restart_cloud();
        self.cloud.pace.send_replace(Pace::Takes(Duration::ZERO));
        self.link.change(|conditions| {
            (conditions.rate, conditions.delay, conditions.is_cut) = (None, Duration::ZERO, false);
        });
    }

    fn restart_cloud(&mut self) {
        self.cloud.restart();
        let address = self.cloud.address();
        self.link.change(|conditions| conditions.target = address);
    }

    /// Ends all faults, and waits until all pending records are delivered.
    async fn calm(&mut self) {
        self.mend();
        // A new connection resolves the records that are in doubt.
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
            assert_eq!(spool.pending_records(class), 0);
            self.check_numbers(class, &spool.class_counters(class));
            self.check_records(class, &spool.class_counters(class));
        }
    }

    /// Checks that every record number is in the archive exactly once, or counted as dropped.
    fn check_numbers(&self, class: Class, counters: &Counters) {
        let entries = self.cloud.archive.of(class);
        let numbers: BTreeSet<u64> = entries.iter().map(|entry| entry.number).collect();
        let applied = entries.len() as u64;
        assert_eq!(numbers.len(), entries.len(), "{class}: a number was applied in two epochs");
        assert!(numbers.last().is_none_or(|last| *last <= counters.cursor), "{class}: {counters:?}");
        assert_eq!(counters.in_doubt(), None);
        assert_eq!(counters.delivered, applied, "{class}: {counters:?}");
        let dropped = counters.dropped(DropReason::Evicted) + counters.dropped(DropReason::Damaged);
        assert_eq!(applied + dropped, counters.cursor, "{class}: {counters:?}");
        println!("{class}: {counters:?}");
    }

    /// Checks that the result of every answered record matches its answer.
    fn check_records(&self, class: Class, counters: &Counters) {
        let produced = self.produced.lock().unwrap();
        let mut applied = BTreeMap::new();
        for entry in self.cloud.archive.of(class) {
            let id = u64::from_le_bytes(entry.frame[..8].try_into().unwrap());
            assert_eq!(entry.frame, frame(id), "{class} {}", entry.number);
            assert_eq!(produced[id as usize].0, class);
            assert_eq!(applied.insert(id, entry.number), None, "record {id} was applied twice");
        }
        let ids_with = |outcome: Option<StoreOutcome>| {
            let matching =
                produced.iter().enumerate().filter(move |(_, record)| **record == (class, outcome));
            matching.map(|(id, _)| id as u64).collect::<BTreeSet<u64>>()
        };
        let count_applied =
            |ids: &BTreeSet<u64>| ids.iter().filter(|id| applied.contains_key(id)).count() as u64;
        let (stored, refused) = (ids_with(Some(StoreOutcome::Stored)), ids_with(Some(StoreOutcome::Refused)));
        let unanswered = ids_with(None);
        assert_eq!(count_applied(&refused), 0, "{class}: a refused record was applied");
        let missing = stored.len() as u64 - count_applied(&stored);
        assert!(
            missing <= counters.dropped(DropReason::Evicted),
            "{class}: {missing} are missing, {counters:?}"
        );
        // Some of the records without an answer have numbers, and some count as refused.
        let counted = counters.dropped(DropReason::Refused).checked_sub(refused.len() as u64);
        let numbered = counters.cursor.checked_sub(stored.len() as u64);
        let (counted, numbered) = (counted.unwrap(), numbered.unwrap());
        assert!(
            numbered >= count_applied(&unanswered) && counted + numbered <= unanswered.len() as u64,
            "{class}: {counters:?}"
        );
        println!(
            "{class}: {} stored, {} refused, {} not answered",
            stored.len(),
            refused.len(),
            unanswered.len()
        );
    }
}

/// Appends bursts of records, and waits for all answers after each burst.
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
            let Ok(outcome) = store.append(class, record(id, frame(id)), RefusalPolicy::Drop).await else {
                return;
            };
            outcomes.push((id, outcome));
        }
        for (id, outcome) in outcomes {
            let Ok(outcome) = outcome.await else { return };
            produced.lock().unwrap()[id as usize].1 = Some(outcome);
        }
    }
}

/// Returns the frame of the record with this index among all produced records.
fn frame(id: u64) -> Vec<u8> {
    let fill = (0..50 + id * 7919 % 3000).map(|index| (index * 31 + id * 7) as u8);
    id.to_le_bytes().into_iter().chain(fill).collect()
}
