//! Other processes and programs in the folder of an open spool, on a real disk.

use std::{collections::BTreeMap, fs, path::Path, process};

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, Counters, Disk, DropReason, Options, Spool, SpoolError, State};

const BUDGET: u64 = 300 << 10;
const CLASS: Class = Class::Normal;
const SEGMENT: &str = "normal-0000000000000001.log";

fn open(folder: &Path, epoch: u64, last_state: Option<&State>) -> Result<Spool<Disk>, SpoolError> {
    let options = Options { last_state: last_state.copied(), ..Options::new(BUDGET, epoch) };
    Spool::open(Disk::open(folder).unwrap(), options)
}

/// Stores records in one block.
fn store(spool: &mut Spool<Disk>, count: usize) {
    for _ in 0..count {
        assert!(matches!(spool.append(CLASS, b"record").unwrap(), AppendOutcome::Accepted(_)));
    }
    spool.commit().unwrap();
}

/// Returns the numbers of all records that can be read.
fn read_all(spool: &mut Spool<Disk>) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let records = spool.read(CLASS).unwrap();
        if records.is_empty() {
            return numbers;
        }
        numbers.extend(records.iter().map(|record| record.number));
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_second_opener_is_refused_and_the_first_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, None).unwrap();
    store(&mut spool, 5);
    assert_eq!(read_all(&mut spool), [1, 2, 3, 4, 5]);
    // Recovery would cut off the open segment.
    spool.acknowledge(CLASS, 5).unwrap();
    spool.checkpoint().unwrap();
    let before = contents(folder.path());

    let error = open(folder.path(), 2, None).unwrap_err();
    assert!(matches!(error, SpoolError::InUse { process: Some(id), .. } if id == process::id()), "{error:?}");
    let lock = folder.path().join("lock").display().to_string();
    let expected = [format!("process {}", process::id()), format!("fuser -v {lock}")];
    assert!(expected.iter().all(|part| error.to_string().contains(part)), "{error}");
    assert_eq!(contents(folder.path()), before);

    store(&mut spool, 20);
    drop(spool);
    let mut spool = open(folder.path(), 3, None).unwrap();
    assert_eq!(spool.pending_records(CLASS), 20);
    assert_eq!(read_all(&mut spool), (6..=25).collect::<Vec<_>>());
}

fn remove_segment(folder: &Path) {
    fs::remove_file(folder.join(SEGMENT)).unwrap();
}

/// Restores a copy of the segment, as from a backup.
fn replace_segment(folder: &Path) {
    let copy = folder.join("copy");
    fs::copy(folder.join(SEGMENT), &copy).unwrap();
    fs::rename(copy, folder.join(SEGMENT)).unwrap();
}

fn remove_lock(folder: &Path) {
    fs::remove_file(folder.join("lock")).unwrap();
}

/// What another program does in the folder of a spool.
type Interference = fn(&Path);

fn remove_everything(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[test]
fn nothing_is_acknowledged_that_another_program_has_removed() {
    // The records that can be read afterwards, and the number of damaged ones.
    let cases: [(Interference, &[u64], u64); 4] = [
        (remove_segment, &[], 5),
        (replace_segment, &[1, 2, 3, 4, 5], 0),
        // The fate of the last record is unknown, because another process may have used the folder.
        (remove_lock, &[1, 2, 3, 4, 5, 6], 0),
        (remove_everything, &[], 5),
    ];
    for (interfere, expected, damaged) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), 1, None).unwrap();
        store(&mut spool, 5);
        let name = spool.name();
        interfere(folder.path());
        spool.append(CLASS, b"next").unwrap();
        let error = spool.commit().unwrap_err();
        assert!(matches!(error, SpoolError::Disk { .. }), "{error:?}");
        assert!(error.to_string().contains("another program has removed or replaced"), "{error}");
        assert!(matches!(spool.append(CLASS, b"next"), Err(SpoolError::Poisoned)));

        let last_state = spool.close();
        let mut spool = open(folder.path(), 2, Some(&last_state)).unwrap();
        assert_eq!((spool.name(), read_all(&mut spool)), (name, expected.to_vec()));
        let last = expected.last().copied().unwrap_or_default();
        spool.acknowledge(CLASS, last).unwrap();
        let counters = spool.class_counters(CLASS);
        assert_eq!((counters.delivered, counters.dropped(DropReason::Damaged)), (last, damaged));
        // The numbers of the missing records are not used again.
        assert_eq!(spool.append(CLASS, b"next").unwrap(), AppendOutcome::Accepted(last.max(5) + 1));
        spool.commit().unwrap();
        spool.checkpoint().unwrap();
        drop(spool);
        // The counts are as durable as the records.
        let mut spool = open(folder.path(), 3, None).unwrap();
        assert_eq!(spool.class_counters(CLASS).dropped(DropReason::Damaged), damaged);
        assert_eq!(read_all(&mut spool), [last.max(5) + 1]);
    }
}

#[test]
fn a_removed_segment_counts_although_the_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, None).unwrap();
    store(&mut spool, 5);
    read_all(&mut spool);
    spool.mark_sending(CLASS, 5).unwrap();
    drop(spool);
    remove_segment(folder.path());
    let mut spool = open(folder.path(), 2, None).unwrap();
    assert_eq!((spool.pending_records(CLASS), read_all(&mut spool)), (5, Vec::new()));
    assert_eq!(
        (spool.class_counters(CLASS).cursor, spool.class_counters(CLASS).dropped(DropReason::Damaged)),
        (5, 5)
    );
}

#[test]
fn acknowledgements_are_not_saved_in_a_file_that_another_program_has_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, None).unwrap();
    store(&mut spool, 5);
    read_all(&mut spool);
    spool.acknowledge(CLASS, 5).unwrap();
    fs::remove_file(folder.path().join("state")).unwrap();
    let error = spool.checkpoint().unwrap_err();
    assert!(matches!(error, SpoolError::Disk { .. }) && error.to_string().contains("state"), "{error}");
    let (name, last_state) = (spool.name(), spool.close());
    for last_state in [Some(&last_state), None] {
        let spool = open(folder.path(), 2, last_state).unwrap();
        let expected = Counters { cursor: 5, delivered: 5, acknowledged: 5, ..Counters::default() };
        assert_eq!((spool.name(), spool.class_counters(CLASS)), (name, expected));
    }
}
