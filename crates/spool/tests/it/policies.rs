//! Drop policies and age limits, on a real disk.

use std::{fs, path::Path, time::Duration};

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, ClassPolicy, Disk, DropPolicy, DropReason, Options, Spool, SpoolError};

const BUDGET: u64 = 300 << 10;
const CLASS: Class = Class::Normal;
const NOW_S: u32 = 1_800_000_000;
const HOUR_S: u32 = 3600;

fn open(folder: &Path, epoch: u64, policy: ClassPolicy) -> Spool<Disk> {
    let options = Options { policies: [policy; Class::ALL.len()], ..Options::new(BUDGET, epoch) };
    Spool::open(Disk::open(folder).unwrap(), options).unwrap()
}

fn oldest() -> ClassPolicy {
    ClassPolicy { drop_policy: DropPolicy::Oldest, max_age: None }
}

fn expiring() -> ClassPolicy {
    ClassPolicy { max_age: Some(Duration::from_hours(1)), ..ClassPolicy::default() }
}

/// Appends and commits a record of 5000 bytes, and returns its number; `None` if it was refused.
fn store(spool: &mut Spool<Disk>, class: Class) -> Option<u64> {
    let outcome = spool.append(class, &[7; 5000]).unwrap();
    spool.commit().unwrap();
    assert!(spool.bytes() <= BUDGET);
    match outcome {
        AppendOutcome::Accepted(number) => Some(number),
        AppendOutcome::Refused => None,
    }
}

/// Appends and commits a small record at this time.
fn store_at(spool: &mut Spool<Disk>, time_s: Option<u32>) {
    spool.set_time(time_s);
    spool.append(CLASS, b"record").unwrap();
    spool.commit().unwrap();
}

fn numbers(spool: &mut Spool<Disk>, class: Class) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let records = spool.read(class).unwrap();
        if records.is_empty() {
            return numbers;
        }
        numbers.extend(records.iter().map(|record| record.number));
    }
}

fn segment_count(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("normal-")).count()
}

#[test]
fn a_class_that_drops_its_oldest_records_never_refuses_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, oldest());
    let stored: Vec<Option<u64>> = (0..100).map(|_| store(&mut spool, CLASS)).collect();
    assert_eq!(stored, (1..=100).map(Some).collect::<Vec<_>>());
    drop(spool);
    let mut spool = open(folder.path(), 2, oldest());
    let counters = spool.class_counters(CLASS);
    let evicted = counters.dropped(DropReason::Evicted);
    assert!(evicted > 40, "{counters:?}");
    assert_eq!((evicted, counters.dropped(DropReason::Refused)), (counters.cursor, 0));
    assert_eq!(numbers(&mut spool, CLASS), (evicted + 1..=100).collect::<Vec<_>>());
}

#[test]
fn less_important_records_are_evicted_before_the_oldest_ones_of_the_class() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, oldest());
    for class in [Class::Low, Class::High] {
        for _ in 0..20 {
            store(&mut spool, class);
        }
    }
    while spool.pending_records(Class::Low) > 0 {
        assert_eq!(spool.class_counters(CLASS).dropped, [0; 4]);
        store(&mut spool, CLASS).unwrap();
    }
    // More important records do not make space.
    while spool.class_counters(CLASS).dropped(DropReason::Evicted) == 0 {
        store(&mut spool, CLASS).unwrap();
    }
    assert_eq!(spool.class_counters(Class::High).dropped, [0; 4]);
}

#[test]
fn records_in_flight_make_space_and_are_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, oldest());
    for _ in 0..10 {
        store(&mut spool, CLASS);
    }
    let sent = spool.read(CLASS).unwrap().last().unwrap().number;
    spool.mark_sending(CLASS, sent).unwrap();
    while spool.class_counters(CLASS).cursor == 0 {
        store(&mut spool, CLASS).unwrap();
    }
    let counters = spool.class_counters(CLASS);
    assert_eq!(counters.in_doubt(), Some(1..=sent));
    // The acknowledgement comes too late to be believed, and nothing is sent until the receiver has reported.
    spool.acknowledge(CLASS, sent).unwrap();
    assert_eq!(spool.class_counters(CLASS), counters);
    let next = spool.read(CLASS).unwrap()[0].number;
    assert_eq!(next, counters.cursor + 1);
    assert!(matches!(spool.mark_sending(CLASS, next), Err(SpoolError::InDoubt { .. })));
    spool.resolve_received(CLASS, &[1..=sent]).unwrap();
    let counters = spool.class_counters(CLASS);
    assert_eq!((counters.delivered, counters.in_doubt()), (sent, None));
    assert_eq!(counters.delivered + counters.dropped(DropReason::Evicted), counters.cursor);
}

#[test]
fn a_record_that_its_producer_keeps_does_not_evict_its_own_class() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, oldest());
    while spool.try_append(CLASS, &[7; 5000]).unwrap() != AppendOutcome::Refused {
        spool.commit().unwrap();
    }
    assert_eq!(spool.class_counters(CLASS).dropped, [0; 4]);
    assert!(store(&mut spool, CLASS).is_some());
    assert!(spool.class_counters(CLASS).dropped(DropReason::Evicted) > 0);
}

#[test]
fn old_records_expire_and_are_counted_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, expiring());
    for minutes in [0, 1, 2, 30, 31] {
        spool.set_time(Some(NOW_S + 60 * minutes));
        assert_eq!(spool.expire().unwrap(), 0);
        store_at(&mut spool, Some(NOW_S + 60 * minutes));
    }
    spool.set_time(Some(NOW_S + HOUR_S + 120));
    assert_eq!(
        spool.expire().unwrap(),
        0,
        "the last record of the first segment is exactly as old as the limit"
    );
    drop(spool);
    let mut spool = open(folder.path(), 2, expiring());
    assert_eq!(spool.expire().unwrap(), 0, "the time is unknown");
    spool.set_time(Some(NOW_S + HOUR_S + 121));
    assert_eq!(spool.expire().unwrap(), 3);
    assert_eq!(spool.expire().unwrap(), 0);
    assert_eq!(numbers(&mut spool, CLASS), [4, 5]);
    drop(spool);
    let spool = open(folder.path(), 3, ClassPolicy::default());
    let counters = spool.class_counters(CLASS);
    assert_eq!((counters.cursor, counters.dropped(DropReason::Expired)), (3, 3));
    assert_eq!(spool.pending_records(CLASS), 2);
}

#[test]
fn records_of_unknown_age_do_not_expire_before_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, expiring());
    store_at(&mut spool, None);
    store_at(&mut spool, None);
    spool.set_time(Some(NOW_S));
    assert_eq!(spool.expire().unwrap(), 0);
    // This one was written after them, so they are at least as old.
    store_at(&mut spool, Some(NOW_S));
    spool.set_time(Some(NOW_S + HOUR_S));
    assert_eq!(spool.expire().unwrap(), 0);
    // A clock that is set back does not make records older.
    spool.set_time(Some(1));
    assert_eq!(spool.expire().unwrap(), 0);
    spool.set_time(Some(NOW_S + HOUR_S + 1));
    assert_eq!(spool.expire().unwrap(), 3);
}

/// Stores two records in a segment whose last header is damaged, and a third one at `third_s` in the next segment.
fn open_damaged(folder: &Path, third_s: Option<u32>) -> Spool<Disk> {
    let mut spool = open(folder, 1, expiring());
    store_at(&mut spool, Some(NOW_S));
    store_at(&mut spool, Some(NOW_S + 300));
    spool.set_time(Some(NOW_S + 1800));
    assert_eq!(spool.expire().unwrap(), 0);
    store_at(&mut spool, third_s);
    drop(spool);
    assert_eq!(segment_count(folder), 2);
    let path = folder.join("normal-0000000000000001.log");
    let mut file = fs::read(&path).unwrap();
    let second = file.len() / 2;
    file[second + 20] ^= 1;
    fs::write(&path, &file).unwrap();
    open(folder, 2, expiring())
}

#[test]
fn a_damaged_record_does_not_expire_before_it_may_be_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open_damaged(folder.path(), Some(NOW_S + 1800));
    spool.set_time(Some(NOW_S + HOUR_S + 1));
    assert_eq!(spool.expire().unwrap(), 0, "the second record may be as young as the third");
    spool.set_time(Some(NOW_S + HOUR_S + 1801));
    assert_eq!(spool.expire().unwrap(), 3);

    let folder = tempfile::tempdir().unwrap();
    let mut spool = open_damaged(folder.path(), None);
    spool.set_time(Some(NOW_S + 9 * HOUR_S));
    assert_eq!(spool.expire().unwrap(), 0, "nothing bounds the age of the second and of the third record");
}

#[test]
fn a_segment_is_closed_so_that_its_first_records_need_not_wait_for_the_last_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, expiring());
    for minutes in 0..240 {
        store_at(&mut spool, Some(NOW_S + 60 * minutes));
        spool.expire().unwrap();
        // The limit, an eighth of it, and a minute.
        assert!(spool.pending_records(CLASS) <= 60 + 8 + 1, "{minutes}: {}", spool.pending_records(CLASS));
    }
    assert!(segment_count(folder.path()) <= 10);
    let counters = spool.class_counters(CLASS);
    assert_eq!(counters.dropped(DropReason::Expired) + spool.pending_records(CLASS), 240);
}

#[test]
fn delivered_records_expire_without_being_counted_and_those_in_flight_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1, expiring());
    store_at(&mut spool, Some(NOW_S));
    let sent = numbers(&mut spool, CLASS);
    spool.mark_sending(CLASS, 1).unwrap();
    spool.set_time(Some(NOW_S + 2 * HOUR_S));
    assert_eq!((spool.expire().unwrap(), segment_count(folder.path())), (0, 1), "in flight: {sent:?}");
    spool.acknowledge(CLASS, 1).unwrap();
    assert_eq!((spool.expire().unwrap(), segment_count(folder.path())), (0, 0));
    let counters = spool.class_counters(CLASS);
    assert_eq!((counters.delivered, counters.lost, counters.dropped), (1, 0, [0; 4]));
}
