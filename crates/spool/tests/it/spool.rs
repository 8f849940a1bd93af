//! The guarantees of the spool, on a real disk.

use std::{fs, path::Path};

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, Counters, Disk, DropReason, Options, Record, Spool, SpoolError};
use tempfile::TempDir;

const KIB: u64 = 1 << 10;

fn open(folder: &Path, budget: u64, epoch: u64) -> Spool<Disk> {
    Spool::open(Disk::open(folder).unwrap(), Options::new(budget, epoch)).unwrap()
}

/// Opens a spool that does not keep delivered records.
fn open_without_kept(folder: &Path, epoch: u64) -> Spool<Disk> {
    let options = Options { keep_delivered_bytes: 0, ..Options::new(300 * KIB, epoch) };
    Spool::open(Disk::open(folder).unwrap(), options).unwrap()
}

fn small() -> (TempDir, Spool<Disk>) {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), 300 * KIB, 1);
    (folder, spool)
}

/// Returns the size of all files in bytes, as the file system reports it.
fn bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn drain(spool: &mut Spool<Disk>, class: Class) -> Vec<Record> {
    let mut drained = Vec::new();
    loop {
        let records = spool.read(class).unwrap();
        if records.is_empty() {
            return drained;
        }
        drained.extend(records);
    }
}

#[test]
fn records_are_read_in_order_across_a_restart_until_they_are_acknowledged() {
    let (folder, mut spool) = small();
    for number in 1..=5_u64 {
        assert_eq!(
            spool.append(Class::Normal, &[number as u8; 40]).unwrap(),
            AppendOutcome::Accepted(number)
        );
    }
    assert!(spool.read(Class::Normal).unwrap().is_empty(), "uncommitted records must not be read");
    spool.commit().unwrap();
    assert_eq!(spool.append(Class::High, b"urgent").unwrap(), AppendOutcome::Accepted(1));
    spool.commit().unwrap();
    let records = drain(&mut spool, Class::Normal);
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(records[2], Record { epoch: 1, number: 3, bytes: vec![3; 40] });
    spool.acknowledge(Class::Normal, 3).unwrap();
    spool.checkpoint().unwrap();
    drop(spool);

    let mut spool = open(folder.path(), 300 * KIB, 2);
    assert_eq!(
        (spool.pending_records(Class::Normal), spool.pending_records(Class::High), spool.torn_ends()),
        (2, 1, 0)
    );
    assert_eq!(spool.append(Class::Normal, b"six").unwrap(), AppendOutcome::Accepted(6));
    spool.commit().unwrap();
    let records = drain(&mut spool, Class::Normal);
    assert_eq!(
        records.iter().map(|record| (record.epoch, record.number)).collect::<Vec<_>>(),
        [(1, 4), (1, 5), (2, 6)]
    );
    assert_eq!(drain(&mut spool, Class::High)[0].bytes, b"urgent");
    spool.acknowledge(Class::Normal, 6).unwrap();
    assert_eq!(
        spool.class_counters(Class::Normal),
        Counters { cursor: 6, delivered: 6, acknowledged: 6, ..Counters::default() }
    );
    spool.rewind(Class::High);
    assert_eq!(
        drain(&mut spool, Class::High).len(),
        1,
        "a record that was read but not acknowledged is read again"
    );
}

#[test]
fn lower_classes_are_evicted_and_counted() {
    let (folder, mut spool) = small();
    let record = vec![7; 5000];
    let mut refused = 0;
    for _ in 0..100 {
        refused += u64::from(spool.append(Class::Low, &record).unwrap() == AppendOutcome::Refused);
        spool.commit().unwrap();
        assert!(bytes(folder.path()) <= 300 * KIB);
    }
    assert!(refused > 0, "no class makes room for the lowest class");
    let pending = spool.pending_records(Class::Low);
    assert_eq!(pending + refused, 100);
    for number in 1..=30 {
        assert_eq!(spool.append(Class::High, &record).unwrap(), AppendOutcome::Accepted(number));
        spool.commit().unwrap();
        assert!(bytes(folder.path()) <= 300 * KIB);
    }
    drop(spool);
    let mut spool = open(folder.path(), 300 * KIB, 2);
    let low = spool.class_counters(Class::Low);
    assert!(low.dropped(DropReason::Evicted) > 0);
    assert_eq!(low.dropped(DropReason::Refused), refused);
    assert_eq!(low.dropped(DropReason::Evicted) + spool.pending_records(Class::Low) + refused, 100);
    let remaining = drain(&mut spool, Class::Low);
    assert_eq!(remaining.first().map(|record| record.number), Some(low.cursor + 1));
    assert_eq!(drain(&mut spool, Class::High).len(), 30);
}

#[test]
fn a_record_that_the_producer_keeps_is_not_counted_as_refused() {
    let (_folder, mut spool) = small();
    let record = vec![7; 5000];
    while spool.try_append(Class::Normal, &record).unwrap() != AppendOutcome::Refused {
        spool.commit().unwrap();
    }
    assert_eq!(spool.try_append(Class::Normal, &record).unwrap(), AppendOutcome::Refused);
    assert_eq!(spool.class_counters(Class::Normal), Counters::default());
    let last_read = drain(&mut spool, Class::Normal).len() as u64;
    spool.acknowledge(Class::Normal, last_read).unwrap();
    assert_eq!(spool.try_append(Class::Normal, &record).unwrap(), AppendOutcome::Accepted(last_read + 1));
    // A record that can never be stored is given up.
    let too_large = vec![0; spool.max_record_bytes() + 1];
    assert!(matches!(spool.try_append(Class::Normal, &too_large), Err(SpoolError::TooLarge { .. })));
    assert_eq!(spool.class_counters(Class::Normal).dropped(DropReason::Refused), 1);
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    // A folder where the file should be fails for every user.
    fs::create_dir(folder.path().join("state")).unwrap();
    let error = Spool::open(Disk::open(folder.path()).unwrap(), Options::new(300 * KIB, 1)).unwrap_err();
    let expected = format!("the spool in {} cannot open its state", folder.path().display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn records_in_flight_are_not_evicted() {
    let (_folder, mut spool) = small();
    while spool.append(Class::Low, &[1; 5000]).unwrap() != AppendOutcome::Refused {
        spool.commit().unwrap();
    }
    let last_read = drain(&mut spool, Class::Low).len() as u64;
    assert_eq!(spool.append(Class::High, &[2; 5000]).unwrap(), AppendOutcome::Refused);
    spool.acknowledge(Class::Low, last_read).unwrap();
    assert_eq!(spool.append(Class::High, &[2; 5000]).unwrap(), AppendOutcome::Accepted(1));
    assert_eq!(
        spool.class_counters(Class::Low),
        Counters {
            cursor: last_read,
            delivered: last_read,
            acknowledged: last_read,
            dropped: [0, 1, 0, 0],
            ..Counters::default()
        }
    );
}

#[test]
fn damage_is_skipped_and_counted() {
    let (folder, mut spool) = small();
    for number in 1..=9_u8 {
        spool.append(Class::Normal, &[number; 100]).unwrap();
        spool.commit().unwrap();
    }
    drop(spool);
    let path = folder.path().join("normal-0000000000000001.log");
    let mut file = fs::read(&path).unwrap();
    // A block with one such record has 144 bytes. The body of the third and the header of the fifth are
    // damaged.
    file[2 * 144 + 60] ^= 1;
    file[4 * 144 + 20] ^= 1;
    fs::write(&path, &file).unwrap();
    let mut spool = open_without_kept(folder.path(), 2);
    let numbers: Vec<u64> = drain(&mut spool, Class::Normal).iter().map(|record| record.number).collect();
    assert_eq!(numbers, [1, 2, 4, 6, 7, 8, 9]);
    spool.acknowledge(Class::Normal, 9).unwrap();
    assert_eq!(
        spool.class_counters(Class::Normal),
        Counters { cursor: 9, delivered: 7, acknowledged: 9, dropped: [0, 0, 2, 0], ..Counters::default() }
    );
    // The damaged bytes are kept, count towards the budget, and outlive the segment.
    for offset in [2 * 144, 4 * 144] {
        let copy = folder.path().join(format!("damaged-normal-0000000000000001-{offset:x}.bin"));
        assert_eq!(fs::read(copy).unwrap(), file[offset..offset + 144]);
    }
    assert!(!path.exists());
    assert_eq!((spool.damage_bytes(), spool.bytes()), (288, bytes(folder.path())));
    drop(spool);
    let spool = open(folder.path(), 300 * KIB, 3);
    assert_eq!((spool.damage_bytes(), spool.bytes()), (288, bytes(folder.path())));
}

#[test]
fn a_torn_end_is_truncated_and_counted() {
    let (folder, mut spool) = small();
    spool.append(Class::Normal, &[1; 100]).unwrap();
    spool.commit().unwrap();
    drop(spool);
    let path = folder.path().join("normal-0000000000000001.log");
    let mut file = fs::read(&path).unwrap();
    file[144..150].copy_from_slice(b"LSpBxx");
    fs::write(&path, file).unwrap();
    let mut spool = open(folder.path(), 300 * KIB, 2);
    assert_eq!((spool.torn_ends(), spool.pending_records(Class::Normal)), (1, 1));
    assert_eq!(fs::metadata(&path).unwrap().len(), 144);
    assert_eq!(spool.append(Class::Normal, b"next").unwrap(), AppendOutcome::Accepted(2));
    spool.commit().unwrap();
    assert_eq!(drain(&mut spool, Class::Normal).len(), 2);
}

#[test]
fn values_out_of_bounds_are_refused_with_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Disk::open(folder.path()).unwrap();
    let error = Spool::open(disk(), Options::new(100 * KIB, 1)).unwrap_err().to_string();
    assert!(error.contains("102400 bytes is too small: give it at least 270352"), "{error}");
    let options = Options { max_record_bytes: 1000, ..Options::new(300 * KIB, 1) };
    let mut spool = Spool::open(disk(), options).unwrap();
    let error = spool.append(Class::High, &[0; 1001]).unwrap_err();
    assert!(matches!(error, SpoolError::TooLargeForReceiver { len: 1001, most: 1000 }), "{error}");
    assert!(error.to_string().contains("that the receiver accepts"), "{error}");
    drop(spool);
    let mut spool = open(folder.path(), 300 * KIB, 1);
    let max_bytes = spool.max_record_bytes();
    let error = spool.append(Class::High, &vec![0; max_bytes + 1]).unwrap_err();
    assert!(matches!(error, SpoolError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("configure a larger budget"), "{error}");
    assert_eq!(spool.append(Class::High, &vec![3; max_bytes]).unwrap(), AppendOutcome::Accepted(1));
    spool.commit().unwrap();
    assert_eq!(spool.read(Class::High).unwrap()[0].bytes, vec![3; max_bytes]);
}

#[test]
fn finished_segments_are_removed_and_numbers_continue() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open_without_kept(folder.path(), 1);
    for _ in 0..200 {
        let AppendOutcome::Accepted(number) = spool.append(Class::Normal, &[9; 3000]).unwrap() else {
            panic!()
        };
        spool.commit().unwrap();
        assert_eq!(drain(&mut spool, Class::Normal).last().unwrap().number, number);
        spool.acknowledge(Class::Normal, number).unwrap();
        assert!(bytes(folder.path()) <= 64 * KIB);
    }
    spool.checkpoint().unwrap();
    drop(spool);
    let mut spool = open(folder.path(), 300 * KIB, 2);
    assert_eq!(spool.append(Class::Normal, b"x").unwrap(), AppendOutcome::Accepted(201));
    assert_eq!(spool.class_counters(Class::Normal).delivered, 200);
}

#[test]
fn an_acknowledgement_while_records_are_in_doubt_is_not_counted_twice() {
    let (folder, mut spool) = small();
    for _ in 0..60 {
        spool.append(Class::Low, &[1; 1000]).unwrap();
    }
    spool.commit().unwrap();
    let last = drain(&mut spool, Class::Low).last().unwrap().number;
    spool.mark_sending(Class::Low, last).unwrap();
    drop(spool);

    let mut spool = open(folder.path(), 300 * KIB, 2);
    let evicted = |spool: &Spool<Disk>| spool.class_counters(Class::Low).cursor;
    while evicted(&spool) == 0 {
        assert!(matches!(spool.append(Class::Normal, &[2; 1000]).unwrap(), AppendOutcome::Accepted(_)));
    }
    let in_doubt = spool.class_counters(Class::Low).in_doubt_count();
    assert_eq!(in_doubt, evicted(&spool));
    // The connection from before the spool was closed is still open, and reports the records that it got.
    let last_read = spool.read(Class::Low).unwrap().last().unwrap().number;
    assert!(matches!(spool.mark_sending(Class::Low, last_read), Err(SpoolError::InDoubt { .. })));
    spool.acknowledge(Class::Low, in_doubt + 5).unwrap();
    spool.rewind(Class::Low);
    while evicted(&spool) <= in_doubt + 5 {
        assert!(matches!(spool.append(Class::Normal, &[2; 1000]).unwrap(), AppendOutcome::Accepted(_)));
    }
    spool.resolve_received(Class::Low, &[1..=in_doubt + 5]).unwrap();
    let counters = spool.class_counters(Class::Low);
    assert_eq!(counters.delivered, in_doubt + 5);
    assert_eq!(counters.delivered + counters.dropped(DropReason::Evicted), counters.cursor);
}
