//! Random sequences of calls, compared with a model that consists of a few sets. The spools of the devices are copied
//! and set back at will, floors and contents may be wrong, and the archive is set back to a backup.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs,
    ops::Range,
    path::PathBuf,
    time::Duration,
};

use lopside_archive::{
    Archive, ArchiveError, Batch, FrameMeta, FrameQuery, LostNumbers, NewConnection, Settings,
};
use lopside_delivery::Class;
use proptest::prelude::*;

use self::oracle::{Lane, Model, Refusal, Stream};
use crate::{batch, frames, frames_of};

mod oracle;

const MAX_AGE_S: i64 = 20;
const MAX_DEVICE_FRAMES: u64 = 15;
const LAST_NUMBER: u64 = 40;
const CLASSES: [Class; 2] = [Class::Normal, Class::High];

/// A batch, with its distance from the newest connection of the device; `None` for a batch without a connection.
#[derive(Debug, Clone)]
struct BatchStep {
    stream: Stream,
    floor: u64,
    first: u64,
    records: u64,
    digest: u32,
    connections_late: Option<u64>,
}

#[derive(Debug, Clone)]
enum Step {
    Apply(BatchStep),
    /// A device connects, and states truthfully what it was acknowledged.
    Register {
        device: u8,
        spool: u32,
        displaced: u64,
    },
    Delete(prop::sample::Index),
    Sweep(prop::sample::Index),
    Known {
        lane: Lane,
        from: u64,
    },
    Reopen,
    Backup,
    Restore,
}

fn lane() -> impl Strategy<Value = Lane> {
    (0..2_u8, 1..3_u32, prop::sample::select(CLASSES.to_vec()))
}

fn batch_step() -> impl Strategy<Value = BatchStep> {
    let floor = prop_oneof![4 => Just(0), 1 => 0..LAST_NUMBER];
    let digest = prop_oneof![6 => Just(0), 1 => Just(1)];
    let connections_late = prop_oneof![2 => Just(None), 3 => Just(Some(0)), 1 => Just(Some(1))];
    ((lane(), 1..4_u64), floor, 1..LAST_NUMBER, 0..8_u64, digest, connections_late).prop_map(
        |(stream, floor, first, records, digest, connections_late)| BatchStep {
            stream,
            floor,
            first,
            records,
            digest,
            connections_late,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => batch_step().prop_map(Step::Apply),
        3 => (0..2_u8, 1..3_u32, 0..3_u64).prop_map(|(device, spool, displaced)| Step::Register { device, spool, displaced }),
        3 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => any::<prop::sample::Index>().prop_map(Step::Sweep),
        3 => (lane(), 0..LAST_NUMBER).prop_map(|(lane, from)| Step::Known { lane, from }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
    ]
}

/// An archive next to its model, and what the devices were acknowledged.
struct Run {
    path: PathBuf,
    archive: Archive,
    model: Model,
    /// The model as of the last backup, whose file exists.
    backup: Option<Model>,
    /// The highest acknowledged number.
    acknowledged: BTreeMap<Lane, u64>,
    /// All acknowledged numbers.
    acknowledged_numbers: BTreeSet<(Lane, u64)>,
}

async fn open(path: &str) -> Archive {
    let max_age = Some(Duration::from_secs(MAX_AGE_S as u64));
    let settings = Settings {
        max_age,
        max_device_frames: Some(MAX_DEVICE_FRAMES),
        max_connections: 1,
        ..Settings::default()
    };
    Archive::open(path, settings).await.unwrap()
}

fn name(device: u8) -> String {
    format!("device-{device}")
}

impl Run {
    async fn start(path: PathBuf) -> Self {
        let archive = open(&path.display().to_string()).await;
        let model = Model::opened_once();
        let (acknowledged, acknowledged_numbers) = (BTreeMap::new(), BTreeSet::new());
        Self { path, archive, model, backup: None, acknowledged, acknowledged_numbers }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Apply(step) => self.apply(step).await,
            Step::Register { device, spool, displaced } => {
                self.register(device, spool, displaced).await;
            }
            Step::Delete(index) => {
                let keys: Vec<(i64, i64)> = self.model.frames.keys().copied().collect();
                if !keys.is_empty() {
                    let key = index.get(&keys);
                    assert!(self.archive.delete(key.1).await.unwrap());
                    self.model.frames.remove(key);
                }
            }
            Step::Sweep(index) => {
                // The horizon is the arrival of one of the frames.
                let arrivals: Vec<i64> =
                    self.model.frames.keys().map(|(received_us, _)| *received_us).collect();
                let horizon_us = if arrivals.is_empty() { 0 } else { *index.get(&arrivals) };
                let expected = self.model.sweep(horizon_us, MAX_DEVICE_FRAMES);
                let report = self.archive.sweep(horizon_us + MAX_AGE_S * 1_000_000).await.unwrap();
                assert_eq!(report, expected);
            }
            Step::Known { lane, from } => {
                assert_eq!(self.known(lane, from).await, self.model.known(lane, from));
            }
            Step::Reopen => self.reopen(|_| ()).await,
            Step::Backup => {
                self.reopen(|path| _ = fs::copy(path, path.with_extension("backup")).unwrap()).await;
                self.backup = Some(self.model.clone());
            }
            Step::Restore => self.restore().await,
        }
    }

    async fn apply(&mut self, step: BatchStep) {
        let BatchStep { stream, floor, first, records, digest, connections_late } = step;
        let ((device, spool, class), epoch) = stream;
        let mut batch = batch(&name(device), first, first + records);
        batch.records.truncate(records as usize);
        for record in &mut batch.records {
            record.digest = digest;
        }
        let newest = self.model.devices.get(&device).map_or(0, |device| device.connection);
        let connection = connections_late.map(|late| newest.saturating_sub(late));
        let batch = Batch { spool, epoch, class, floor, connection, ..batch };
        let outcome = self.archive.apply(batch.clone()).await;
        match self.model.apply(stream, &batch) {
            Ok((expected, new_numbers)) => {
                assert_eq!(outcome.unwrap(), expected);
                self.add_frames(stream, digest, new_numbers).await;
                self.acknowledge(stream.0, first..first + records);
            }
            Err(refusal) => assert_refused(&outcome.unwrap_err(), refusal),
        }
    }

    /// Finds the ids of the new frames.
    async fn add_frames(&mut self, stream: Stream, digest: u32, numbers: Vec<u64>) {
        let mut numbers: BTreeSet<u64> = numbers.into_iter().collect();
        for frame in frames(&self.archive).await {
            let key = (frame.received_us, frame.id);
            if let Entry::Vacant(entry) = self.model.frames.entry(key) {
                assert!(numbers.remove(&frame.number), "{frame:?} is unexpected");
                entry.insert((stream, frame.number, digest));
            }
        }
        assert_eq!(numbers, BTreeSet::new(), "frames are missing");
    }

    fn acknowledge(&mut self, lane: Lane, numbers: Range<u64>) {
        let highest = self.acknowledged.entry(lane).or_default();
        *highest = numbers.clone().next_back().unwrap_or(0).max(*highest);
        self.acknowledged_numbers.extend(numbers.map(|number| (lane, number)));
    }

    /// Connects a device, and returns the numbers that it is told to be lost.
    async fn register(&mut self, device: u8, spool: u32, displaced: u64) -> BTreeSet<(Lane, u64)> {
        let acknowledged = CLASSES
            .map(|class| (class, self.acknowledged.get(&(device, spool, class)).copied().unwrap_or(0)))
            .to_vec();
        let expected = self.model.register(device, spool, &acknowledged, displaced);
        let connection =
            NewConnection { spool, acknowledged, displaced, ..NewConnection::new(&name(device)) };
        let registered = self.archive.register_connection(connection).await.unwrap();
        let newly_lost: u64 = registered.newly_lost.iter().map(LostNumbers::count).sum();
        assert_eq!((registered.number, newly_lost), expected);
        let lost = registered.lost.into_iter().flat_map(|lost| {
            let lane = (device, spool, lost.class);
            lost.numbers.map(move |number| (lane, number))
        });
        let lost: BTreeSet<(Lane, u64)> = lost.collect();
        let missing = CLASSES.into_iter().flat_map(|class| {
            let lane = (device, spool, class);
            self.model.missing(lane).into_iter().map(move |number| (lane, number))
        });
        assert_eq!(lost, missing.collect::<BTreeSet<_>>());
        lost
    }

    /// Returns the known numbers of a lane by epoch.
    async fn known(&self, (device, spool, class): Lane, from: u64) -> BTreeMap<u64, Vec<u64>> {
        let known = self.archive.known_numbers(&name(device), spool, &[(class, from)]).await.unwrap();
        assert!(known.iter().all(|known| known.class == class));
        known.into_iter().map(|known| (known.epoch, known.ranges.into_iter().flatten().collect())).collect()
    }

    /// Closes the archive, changes its file, and opens it again.
    async fn reopen(&mut self, change: impl FnOnce(&PathBuf)) {
        self.archive.close().await;
        change(&self.path);
        self.archive = open(&self.path.display().to_string()).await;
        self.model.generation += 1;
    }

    async fn restore(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        self.reopen(|path| _ = fs::copy(path.with_extension("backup"), path).unwrap()).await;
        // The backup was made after the archive was closed and before it was opened again.
        self.model = backup;
        // All devices connect again before they send anything.
        let lanes: BTreeSet<(u8, u32)> =
            self.acknowledged.keys().map(|(device, spool, _)| (*device, *spool)).collect();
        let forgotten: Vec<(Lane, u64)> = self
            .acknowledged_numbers
            .iter()
            .copied()
            .filter(|(lane, number)| *number > self.model.highest(*lane))
            .collect();
        let mut lost = BTreeSet::new();
        for (device, spool) in lanes {
            lost.extend(self.register(device, spool, 0).await);
        }
        for number in forgotten {
            assert!(lost.contains(&number), "{number:?} is lost silently");
        }
    }

    async fn check(&self) {
        let listed = frames(&self.archive).await.into_iter().map(|frame| {
            let device = frame.device.bytes().last().unwrap() - b'0';
            let key = (frame.received_us, frame.id);
            (key, (device, frame.class, frame.epoch, frame.number, frame.digest))
        });
        let expected =
            self.model.frames.iter().map(|(key, (((device, _, class), epoch), number, digest))| {
                (*key, (*device, *class, *epoch, *number, *digest))
            });
        assert_eq!(listed.collect::<BTreeMap<_, _>>(), expected.collect::<BTreeMap<_, _>>());
        let devices = self.archive.devices().await.unwrap();
        let names: Vec<String> = self.model.devices.keys().map(|device| name(*device)).collect();
        assert_eq!(devices.iter().map(|device| device.name.clone()).collect::<Vec<_>>(), names);
        for (device, (id, model)) in devices.iter().zip(&self.model.devices) {
            assert_eq!(device.applied, model.applied);
            assert_eq!(
                (device.conflicts, device.alternations, device.displaced, device.lost),
                (model.conflicts, model.alternations, model.displaced, self.model.lost(*id))
            );
        }
        assert_eq!(devices.iter().map(|device| device.bytes).sum::<u64>(), self.model.bytes());
        assert_eq!(self.archive.identity().generation, self.model.generation);
    }
}

impl Run {
    /// Checks that the list of each device is a part of the list of all frames.
    async fn check_device_lists(&self) {
        let all = frames(&self.archive).await;
        for device in self.model.devices.keys() {
            let name = name(*device);
            let expected: Vec<&FrameMeta> = all.iter().filter(|frame| *frame.device == *name).collect();
            let query = FrameQuery { device: Some(name.clone()), limit: 4, ..FrameQuery::default() };
            let listed = frames_of(&self.archive, query).await;
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{name}");
        }
    }
}

fn assert_refused(error: &ArchiveError, refusal: Refusal) {
    let is_expected = match refusal {
        Refusal::Late => matches!(error, ArchiveError::Superseded { .. }),
        Refusal::Floor => {
            matches!(error, ArchiveError::Refused { why, .. } if why.contains("can be settled"))
        }
        Refusal::Conflict(expected) => {
            matches!(error, ArchiveError::Conflict { number, .. } if *number == expected)
        }
    };
    assert!(is_expected, "{refusal:?} is expected: {error}");
}

async fn run(path: PathBuf, steps: Vec<Step>) {
    let mut run = Run::start(path).await;
    let id = run.archive.identity().id;
    for step in steps {
        run.step(step).await;
        run.check().await;
    }
    assert_eq!(run.archive.identity().id, id);
    run.check_device_lists().await;
    run.archive.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls_matches_the_model(steps in prop::collection::vec(step(), 1..50)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(folder.path().join("archive.db"), steps));
    }
}
