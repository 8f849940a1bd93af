//! Random sequences of calls, compared with a model that consists of a few sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lopside_archive::{AppliedBatch, Archive, Batch, Settings, SweepReport};
use lopside_delivery::Class;
use proptest::prelude::*;

use crate::{batch, frames};

const MAX_AGE_S: i64 = 20;
const MAX_BYTES: u64 = 300;
const LAST_NUMBER: u64 = 40;

/// The device, the epoch and the class.
type Stream = (u8, u64, Class);

#[derive(Debug, Clone)]
enum Step {
    Apply { stream: Stream, floor: u64, first: u64, records: u64, digest: u32 },
    Delete(prop::sample::Index),
    Sweep(prop::sample::Index),
    Known { device: u8, class: Class, from: u64 },
    Reopen,
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(vec![Class::Normal, Class::High])
}

fn step() -> impl Strategy<Value = Step> {
    let stream = (0..2_u8, 1..3_u64, class());
    let apply = (stream, prop_oneof![3 => Just(0), 1 => 0..LAST_NUMBER], 1..LAST_NUMBER, 0..8_u64, 0..2_u32)
        .prop_map(|(stream, floor, first, records, digest)| Step::Apply {
            stream,
            floor,
            first,
            records,
            digest,
        });
    prop_oneof![
        12 => apply,
        4 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => any::<prop::sample::Index>().prop_map(Step::Sweep),
        3 => (0..2_u8, class(), 0..LAST_NUMBER).prop_map(|(device, class, from)| Step::Known { device, class, from }),
        1 => Just(Step::Reopen),
    ]
}

/// The stream, number and digest of each frame, by arrival time and id.
type Frames = BTreeMap<(i64, i64), (Stream, u64, u32)>;

#[derive(Default)]
struct Model {
    floors: BTreeMap<Stream, u64>,
    applied: BTreeSet<(Stream, u64)>,
    frames: Frames,
}

impl Model {
    fn apply(&mut self, stream: Stream, batch: &Batch) -> (AppliedBatch, Vec<u64>) {
        let floor = self.floors.entry(stream).or_default();
        *floor = batch.floor.max(*floor);
        let floor = *floor;
        let (mut outcome, mut new_numbers) = (AppliedBatch::default(), Vec::new());
        for (record, number) in batch.records.iter().zip(batch.first_number..) {
            if number > floor && self.applied.insert((stream, number)) {
                outcome.applied += 1;
                new_numbers.push(number);
            } else {
                outcome.replayed += 1;
                let conflicts = |frame: &&(Stream, u64, u32)| {
                    (frame.0, frame.1) == (stream, number) && frame.2 != record.digest
                };
                outcome.conflicting += self.frames.values().filter(conflicts).count() as u64;
            }
        }
        (outcome, new_numbers)
    }

    fn sweep(&mut self, horizon_us: i64) -> SweepReport {
        let mut report = SweepReport::default();
        while let Some(first) = self.frames.first_entry()
            && (first.key().0 < horizon_us || self.bytes() > MAX_BYTES)
        {
            report.frames += 1;
            report.bytes += 10;
            self.frames.pop_first();
        }
        report
    }

    fn known(&self, device: u8, class: Class, from: u64) -> Vec<u64> {
        let matches = |stream: &Stream| (stream.0, stream.2) == (device, class);
        let floor = self.floors.iter().filter(|(stream, _)| matches(stream)).map(|(_, floor)| *floor).max();
        let applied = self.applied.iter().filter(|(stream, _)| matches(stream)).map(|(_, number)| *number);
        let known: BTreeSet<u64> = applied.chain(1..=floor.unwrap_or(0)).collect();
        known.into_iter().filter(|number| *number >= from).collect()
    }

    fn bytes(&self) -> u64 {
        10 * self.frames.len() as u64
    }
}

async fn open(url: &str) -> Archive {
    let max_age = Some(Duration::from_secs(MAX_AGE_S as u64));
    let settings =
        Settings { max_age, max_bytes: Some(MAX_BYTES), max_connections: 1, ..Settings::default() };
    Archive::open(url, settings).await.unwrap()
}

async fn listed(archive: &Archive) -> Frames {
    let frames = frames(archive).await.into_iter().map(|frame| {
        let device = frame.device.bytes().last().unwrap() - b'0';
        ((frame.received_us, frame.id), ((device, frame.epoch, frame.class), frame.number, frame.digest))
    });
    frames.collect()
}

async fn apply(archive: &Archive, model: &mut Model, stream: Stream, batch: Batch) {
    let (expected, new_numbers) = model.apply(stream, &batch);
    assert_eq!(archive.apply(batch.clone()).await.unwrap(), expected);
    let current = listed(archive).await;
    let mut added: Vec<_> = current.iter().filter(|(key, _)| !model.frames.contains_key(key)).collect();
    added.sort_by_key(|(_, frame)| frame.1);
    let digest = |number: u64| batch.records[(number - batch.first_number) as usize].digest;
    let expected: Vec<_> = new_numbers.into_iter().map(|number| (stream, number, digest(number))).collect();
    assert_eq!(added.into_iter().map(|(_, frame)| *frame).collect::<Vec<_>>(), expected);
    model.frames = current;
}

async fn run(url: &str, steps: Vec<Step>) {
    let (mut archive, mut model) = (open(url).await, Model::default());
    for step in steps {
        match step {
            Step::Apply { stream, floor, first, records, digest } => {
                let (device, epoch, class) = stream;
                let mut batch = batch(&format!("device-{device}"), first, first + records);
                for record in &mut batch.records {
                    record.digest = digest;
                }
                batch.records.truncate(records as usize);
                apply(&archive, &mut model, stream, Batch { epoch, class, floor, ..batch }).await;
            }
            Step::Delete(index) => {
                let ids: Vec<(i64, i64)> = model.frames.keys().copied().collect();
                if !ids.is_empty() {
                    let key = index.get(&ids);
                    assert!(archive.delete(key.1).await.unwrap());
                    model.frames.remove(key);
                }
            }
            Step::Sweep(index) => {
                // The horizon is the arrival of one of the frames.
                let arrivals: Vec<i64> = model.frames.keys().map(|(received_us, _)| *received_us).collect();
                let horizon_us = if arrivals.is_empty() { 0 } else { *index.get(&arrivals) };
                let expected = model.sweep(horizon_us);
                assert_eq!(archive.sweep(horizon_us + MAX_AGE_S * 1_000_000).await.unwrap(), expected);
            }
            Step::Known { device, class, from } => {
                let known = archive.known_numbers(&format!("device-{device}"), 0, class, from).await.unwrap();
                let numbers: Vec<u64> = known.into_iter().flatten().collect();
                assert_eq!(numbers, model.known(device, class, from));
            }
            Step::Reopen => {
                archive.close().await;
                archive = open(url).await;
            }
        }
        assert_eq!(listed(&archive).await, model.frames);
        let devices = archive.devices().await.unwrap();
        assert_eq!(devices.iter().map(|device| device.bytes).sum::<u64>(), model.bytes());
        assert_eq!(devices.iter().map(|device| device.applied).sum::<u64>(), model.applied.len() as u64);
    }
    archive.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls_matches_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&folder.path().join("archive.db").display().to_string(), steps));
    }
}
