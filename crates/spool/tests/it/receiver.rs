//! What the receiver reports: records that it has lost, and records that the spool does not know.

use std::{fs, path::Path};

use lopside_delivery::Class;
use lopside_spool::{
    AppendOutcome, Counters, Disk, DropReason, LossOutcome, Options, Spool, SpoolError, read_state,
};

const KIB: u64 = 1 << 10;
const BUDGET: u64 = 300 * KIB;
const CLASS: Class = Class::Normal;
/// Records per block, and bytes per record. Three blocks fill a segment.
const BLOCK: u64 = 5;
const RECORD: [u8; 1040] = [7; 1040];

fn open(folder: &Path, epoch: u64, keep_delivered_bytes: u64) -> Spool<Disk> {
    let options = Options { keep_delivered_bytes, ..Options::new(BUDGET, epoch) };
    Spool::open(Disk::open(folder).unwrap(), options).unwrap()
}

/// Stores blocks of records.
fn store(spool: &mut Spool<Disk>, class: Class, blocks: u64) {
    for _ in 0..blocks {
        for _ in 0..BLOCK {
            assert!(matches!(spool.append(class, &RECORD).unwrap(), AppendOutcome::Accepted(_)));
        }
        spool.commit().unwrap();
        assert!(spool.bytes() <= BUDGET);
    }
}

/// Reads all records that can be read, and returns their numbers.
fn read_all(spool: &mut Spool<Disk>, class: Class) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let records = spool.read(class).unwrap();
        let Some(last) = records.last() else { return numbers };
        spool.mark_sending(class, last.number).unwrap();
        numbers.extend(records.iter().map(|record| record.number));
    }
}

/// Stores and delivers blocks of records.
fn deliver(spool: &mut Spool<Disk>, class: Class, blocks: u64) {
    store(spool, class, blocks);
    let last = read_all(spool, class).last().copied().unwrap();
    spool.acknowledge(class, last).unwrap();
    spool.checkpoint().unwrap();
}

fn bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn lost_records_are_pending_again_and_others_are_not_sent_again() {
    for restarts in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), 1, u64::MAX);
        deliver(&mut spool, CLASS, 6);
        assert_eq!((spool.acknowledged_on_disk(CLASS), spool.settled_on_disk(CLASS)), (30, 30));
        spool.resolve_received(CLASS, &[]).unwrap();
        let outcome = spool.reopen_lost(CLASS, &[12..=13, 21..=28]).unwrap();
        assert_eq!(outcome, LossOutcome { reopened: 10, gone: 0 });
        let counters = spool.class_counters(CLASS);
        assert_eq!((counters.cursor, counters.delivered, spool.pending_records(CLASS)), (11, 11, 19));
        assert_eq!(spool.settled_on_disk(CLASS), 11, "the cursor moves back on disk before anything is sent");
        if restarts {
            drop(spool);
            spool = open(folder.path(), 2, u64::MAX);
            let highest_sent = counters.highest_sent;
            assert_eq!(Counters { highest_sent, ..spool.class_counters(CLASS) }, counters);
            // The records between are not settled any more, so the receiver reports them.
            spool.resolve_received(CLASS, &[14..=20, 29..=30]).unwrap();
            assert_eq!(spool.reopen_lost(CLASS, &[12..=13, 21..=28]).unwrap(), LossOutcome::default());
        }
        assert_eq!(read_all(&mut spool, CLASS), (12..=13).chain(21..=28).collect::<Vec<_>>());
        spool.acknowledge(CLASS, 28).unwrap();
        let counters = spool.class_counters(CLASS);
        assert_eq!((counters.cursor, counters.delivered, counters.lost), (30, 30, 0));
        assert_eq!((counters.acknowledged, spool.pending_records(CLASS)), (30, 0));
    }
}

#[test]
fn lost_records_without_a_copy_are_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, 0);
    deliver(&mut spool, CLASS, 6);
    assert_eq!(spool.kept_bytes(), 0);
    let lost = [11..=20];
    assert_eq!(spool.reopen_lost(CLASS, &lost).unwrap(), LossOutcome { reopened: 5, gone: 5 });
    drop(spool);
    for epoch in 2..4 {
        let mut spool = open(folder.path(), epoch, 0);
        spool.resolve_received(CLASS, &[21..=30]).unwrap();
        assert_eq!(spool.reopen_lost(CLASS, &lost).unwrap(), LossOutcome::default());
        let counters = spool.class_counters(CLASS);
        assert_eq!((counters.cursor, counters.delivered, counters.lost), (15, 15, 5));
        assert_eq!(read_all(&mut spool, CLASS), [16, 17, 18, 19, 20]);
    }
    let mut spool = open(folder.path(), 4, 0);
    spool.resolve_received(CLASS, &[16..=30]).unwrap();
    assert!(read_all(&mut spool, CLASS).is_empty());
    let counters = spool.class_counters(CLASS);
    assert_eq!((counters.cursor, counters.delivered, counters.lost), (30, 30, 5));
}

#[test]
fn a_lost_record_that_is_damaged_is_counted_once_and_does_not_move_the_cursor_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    deliver(&mut spool, CLASS, 6);
    drop(spool);
    // The second block of the first segment.
    let path = folder.path().join("normal-0000000000000001.log");
    let mut file = fs::read(&path).unwrap();
    let block = file.len() / 3;
    file[block + 60] ^= 1;
    fs::write(&path, &file).unwrap();
    let mut spool = open(folder.path(), 2, u64::MAX);
    let lost = [9..=12];
    assert_eq!(spool.reopen_lost(CLASS, &lost).unwrap(), LossOutcome { reopened: 4, gone: 0 });
    assert_eq!(read_all(&mut spool, CLASS), [11, 12]);
    spool.acknowledge(CLASS, 12).unwrap();
    let counters = spool.class_counters(CLASS);
    assert_eq!((counters.cursor, counters.delivered, counters.lost), (30, 30, 2));
    assert_eq!(counters.dropped(DropReason::Damaged), 0, "they were delivered before");
    spool.resolve_received(CLASS, &[]).unwrap();
    assert_eq!(spool.reopen_lost(CLASS, &[9..=10]).unwrap(), LossOutcome::default());
    assert_eq!((spool.class_counters(CLASS), spool.pending_records(CLASS)), (counters, 0));
}

#[test]
fn losses_beyond_what_was_acknowledged_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    store(&mut spool, CLASS, 2);
    assert_eq!(spool.reopen_lost(CLASS, &[0..=u64::MAX]).unwrap(), LossOutcome::default());
    deliver(&mut spool, CLASS, 1);
    assert_eq!(spool.reopen_lost(CLASS, &[15..=u64::MAX]).unwrap(), LossOutcome { reopened: 1, gone: 0 });
}

#[test]
fn numbers_that_the_spool_has_not_sent_in_the_epoch_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    store(&mut spool, CLASS, 2);
    drop(spool);
    let mut spool = open(folder.path(), 2, u64::MAX);
    store(&mut spool, CLASS, 2);
    spool.append(CLASS, b"not committed").unwrap();
    let mut unknown = |epoch, numbers| spool.find_unknown(CLASS, epoch, &[numbers]).unwrap();
    assert_eq!((unknown(1, 1..=10), unknown(2, 11..=20)), (None, None));
    assert_eq!((unknown(1, 8..=12), unknown(2, 8..=12)), (Some(11), Some(8)));
    assert_eq!((unknown(3, 15..=16), unknown(2, 19..=21)), (Some(15), Some(21)));
    assert_eq!(read_all(&mut spool, CLASS).len(), 20);
    spool.acknowledge(CLASS, 15).unwrap();
    assert_eq!(spool.find_unknown(CLASS, 3, &[1..=15]).unwrap(), Some(1), "not settled on disk");
    spool.checkpoint().unwrap();
    assert_eq!(spool.find_unknown(CLASS, 3, &[1..=15]).unwrap(), None);
    assert_eq!(spool.find_unknown(CLASS, 3, &[1..=u64::MAX]).unwrap(), Some(16));
}

#[test]
fn records_in_doubt_may_have_any_epoch_and_evicted_ones_behind_them_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    store(&mut spool, Class::Low, 2);
    assert_eq!(read_all(&mut spool, Class::Low).len(), 10);
    drop(spool);
    // This process stores records and evicts them before it has sent any.
    let mut spool = open(folder.path(), 2, u64::MAX);
    store(&mut spool, Class::Low, 4);
    while spool.class_counters(Class::Low).cursor < 15 {
        assert!(matches!(spool.append(Class::High, &[1; 1000]).unwrap(), AppendOutcome::Accepted(_)));
    }
    let counters = spool.class_counters(Class::Low);
    assert_eq!(counters.in_doubt(), Some(1..=10), "the records of this process were not sent");
    assert_eq!(counters.dropped(DropReason::Evicted), counters.cursor - 10);
    assert_eq!(spool.find_unknown(Class::Low, 9, &[1..=10]).unwrap(), None);
    assert_eq!(spool.find_unknown(Class::Low, 9, &[1..=11]).unwrap(), Some(11));
    let error = spool.reopen_lost(Class::Low, &[1..=10]).unwrap_err();
    assert!(matches!(error, SpoolError::InDoubt { class: Class::Low }), "{error}");
}

#[test]
fn a_new_name_is_durable_and_forgets_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    deliver(&mut spool, CLASS, 1);
    store(&mut spool, CLASS, 1);
    let name = spool.name();
    assert_eq!(spool.take_new_name(77).unwrap(), name);
    assert_eq!((spool.name(), spool.times_renamed(), spool.name_change()), (77, 1, None));
    let state = read_state(&Disk::open(folder.path()).unwrap()).unwrap().unwrap();
    assert_eq!((state.spool_name, state.times_renamed), (77, 1));
    drop(spool);
    let mut spool = open(folder.path(), 2, u64::MAX);
    assert_eq!((spool.name(), spool.times_renamed(), spool.acknowledged_on_disk(CLASS)), (77, 1, 0));
    let records = spool.read(CLASS).unwrap();
    let identities: Vec<(u64, u64)> = records.iter().map(|record| (record.epoch, record.number)).collect();
    assert_eq!(identities, (6..=10).map(|number| (1, number)).collect::<Vec<_>>());
    assert_eq!((spool.take_new_name(77).unwrap(), spool.name()), (77, 78));
    assert_ne!((spool.take_new_name(0).unwrap(), spool.name()), (78, 0));
    assert!(read_state(&Disk::open(&folder.path().join("empty")).unwrap()).unwrap().is_none());
}

#[test]
fn kept_records_make_space_before_pending_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    deliver(&mut spool, CLASS, 40);
    store(&mut spool, Class::Low, 6);
    assert!(spool.kept_bytes() > 100 * KIB);
    let evicted = |spool: &Spool<Disk>| spool.class_counters(Class::Low).dropped(DropReason::Evicted);
    while spool.kept_bytes() > 32 * KIB {
        store(&mut spool, Class::High, 1);
        assert_eq!((evicted(&spool), spool.bytes()), (0, bytes(folder.path())));
    }
    while evicted(&spool) == 0 {
        store(&mut spool, Class::High, 1);
    }
    assert_eq!(spool.kept_bytes(), 0);
    let expected = Counters { cursor: 200, delivered: 200, acknowledged: 200, ..Counters::default() };
    assert_eq!(Counters { highest_sent: 0, ..spool.class_counters(CLASS) }, expected);
}

#[test]
fn kept_records_do_not_exceed_their_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, 40 * KIB);
    for _ in 0..20 {
        deliver(&mut spool, CLASS, 4);
        assert!(spool.kept_bytes() <= 40 * KIB);
    }
    assert!(spool.kept_bytes() > 20 * KIB);
    drop(spool);
    let spool = open(folder.path(), 2, 40 * KIB);
    assert!((20 * KIB..=40 * KIB).contains(&spool.kept_bytes()), "{}", spool.kept_bytes());
    drop(spool);
    let spool = open(folder.path(), 3, 0);
    assert_eq!((spool.kept_bytes(), spool.bytes()), (0, bytes(folder.path())));
}

#[test]
fn records_that_are_pending_again_give_way_to_new_ones_and_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, u64::MAX);
    deliver(&mut spool, CLASS, 40);
    let outcome = spool.reopen_lost(CLASS, &[1..=200]).unwrap();
    assert_eq!(outcome, LossOutcome { reopened: 200, gone: 0 });
    store(&mut spool, CLASS, 40);
    let counters = spool.class_counters(CLASS);
    assert!(counters.lost > 50 && counters.dropped == [0; 4], "{counters:?}");
    assert_eq!((counters.delivered, counters.cursor), (counters.lost, counters.lost));
    assert_eq!(counters.delivered + spool.pending_records(CLASS), 400);
    assert_eq!(read_all(&mut spool, CLASS), (counters.cursor + 1..=400).collect::<Vec<_>>());
}
