//! A process that writes to a real disk and is killed repeatedly while it writes.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, Disk, Options, Spool};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const FOLDER: &str = "LOPSIDE_SPOOL_TEST_FOLDER";
const EPOCH: &str = "LOPSIDE_SPOOL_TEST_EPOCH";
const BUDGET: u64 = 64 << 20;

fn open(folder: &Path, epoch: u64) -> Spool<Disk> {
    Spool::open(Disk::open(folder).unwrap(), Options::new(BUDGET, epoch)).unwrap()
}

fn payload(class: Class, epoch: u64, number: u64) -> Vec<u8> {
    let len = (number * 131 + epoch * 17) % 9000;
    (0..len).map(|index| (index * 7 + number + epoch + class as u64) as u8).collect()
}

/// The process to be killed. It prints on stdout the records that are committed and that it will acknowledge.
#[test]
#[ignore = "started and killed by the other test"]
fn child() {
    let folder = env::var_os(FOLDER).unwrap();
    let epoch: u64 = env::var(EPOCH).unwrap().parse().unwrap();
    let mut spool = open(Path::new(&folder), epoch);
    let mut out = std::io::stdout().lock();
    let mut rng = StdRng::seed_from_u64(epoch);
    loop {
        let mut appended = Vec::new();
        for _ in 0..rng.random_range(1..5) {
            let class = Class::ALL[rng.random_range(0..3)];
            // The record will get the next number.
            let next = spool.class_counters(class).cursor + spool.pending_records(class) + 1;
            let pending = appended.iter().filter(|(other, _)| *other == class).count() as u64;
            let number = next + pending;
            assert_eq!(
                spool.append(class, &payload(class, epoch, number)).unwrap(),
                AppendOutcome::Accepted(number)
            );
            appended.push((class, number));
        }
        spool.commit().unwrap();
        for (class, number) in appended {
            writeln!(out, "committed {class} {number}").unwrap();
        }
        if rng.random_range(0..3) == 0
            && let Some(last) = spool.read(Class::Normal).unwrap().last()
        {
            writeln!(out, "acknowledged {} {}", Class::Normal, last.number).unwrap();
            spool.acknowledge(Class::Normal, last.number).unwrap();
        }
    }
}

fn start(folder: &Path, epoch: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(EPOCH, epoch.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn class_of(name: &str) -> Class {
    Class::ALL.into_iter().find(|class| class.name() == name).unwrap()
}

#[test]
fn committed_records_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    // The epoch of each record, by class and number.
    let mut committed: BTreeMap<(Class, u64), u64> = BTreeMap::new();
    let mut acknowledged = BTreeMap::new();
    for epoch in 1..=30 {
        let mut process = start(folder.path(), epoch);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for remaining in (0..rng.random_range(20..400_u32)).rev() {
            let line = lines.next().unwrap().unwrap();
            note(&line, epoch, &mut committed, &mut acknowledged);
            if remaining == 0 {
                process.kill().unwrap();
            }
        }
        // Lines that it printed before it was killed count as well; an incomplete line does not.
        lines.map_while(Result::ok).for_each(|line| note(&line, epoch, &mut committed, &mut acknowledged));
        process.wait().unwrap();
    }
    let mut spool = open(folder.path(), 99);
    for class in Class::ALL {
        let mut found = BTreeMap::new();
        loop {
            let records = spool.read(class).unwrap();
            if records.is_empty() {
                break;
            }
            found.extend(records.into_iter().map(|record| (record.number, record)));
        }
        for record in found.values() {
            assert_eq!(
                record.bytes,
                payload(class, record.epoch, record.number),
                "{class} {}",
                record.number
            );
        }
        let cursor = acknowledged.get(&class).copied().unwrap_or(0);
        let expected = committed.keys().filter(|(other, number)| *other == class && *number > cursor);
        let missing: Vec<u64> =
            expected.map(|(_, number)| *number).filter(|number| !found.contains_key(number)).collect();
        assert!(missing.is_empty(), "{class}: {missing:?}");
        assert!(found.len() > 100, "{class} has {} records", found.len());
    }
}

fn note(
    line: &str,
    epoch: u64,
    committed: &mut BTreeMap<(Class, u64), u64>,
    acknowledged: &mut BTreeMap<Class, u64>,
) {
    let words: Vec<&str> = line.split(' ').collect();
    let [kind @ ("committed" | "acknowledged"), class, number] = words[..] else { return };
    let Ok(number) = number.parse() else { return };
    if kind == "committed" {
        committed.insert((class_of(class), number), epoch);
    } else {
        let acknowledged = acknowledged.entry(class_of(class)).or_default();
        *acknowledged = number.max(*acknowledged);
    }
}
