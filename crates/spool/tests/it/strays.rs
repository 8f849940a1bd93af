//! Files with the name of a segment that another program has put into the folder.

use std::{fs, path::Path};

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, Disk, DropReason, Options, Spool, block::BlockBuilder};

const CLASS: Class = Class::Normal;
const FIRST_SEGMENT: &str = "normal-0000000000000001.log";
/// The name of the segment that would begin with record 1,000,000.
const FAR_SEGMENT: &str = "normal-00000000000f4240.log";

fn open(folder: &Path, epoch: u64) -> Spool<Disk> {
    Spool::open(Disk::open(folder).unwrap(), Options::new(300 << 10, epoch)).unwrap()
}

fn store(spool: &mut Spool<Disk>, count: usize) {
    for _ in 0..count {
        assert!(matches!(spool.append(CLASS, b"record").unwrap(), AppendOutcome::Accepted(_)));
        spool.commit().unwrap();
    }
}

/// Makes a spool of four records, of which each fills a segment.
fn fill_four_segments(folder: &Path) {
    let mut spool = open(folder, 1);
    for _ in 0..4 {
        assert!(matches!(spool.append(CLASS, &[7; 15_000]).unwrap(), AppendOutcome::Accepted(_)));
        spool.commit().unwrap();
    }
}

fn read_all(spool: &mut Spool<Disk>) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let records = spool.read(CLASS).unwrap();
        if records.is_empty() {
            return numbers;
        }
        assert!(records.iter().all(|record| record.bytes == b"record"), "a foreign record");
        numbers.extend(records.iter().map(|record| record.number));
    }
}

/// Returns a block of another spool that begins with this record.
fn foreign_block(first: u64) -> Vec<u8> {
    let mut block = BlockBuilder::new(first, 99);
    block.push(b"foreign");
    block.finish(0)
}

/// Returns the contents of the only stray file.
fn stray(folder: &Path) -> Vec<u8> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut strays = paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("stray-"));
    let stray = strays.next().unwrap();
    assert!(strays.next().is_none());
    fs::read(stray).unwrap()
}

/// Makes the contents of a stray file, from the folder of the spool.
type Contents = fn(&Path) -> Vec<u8>;

#[test]
fn a_stray_file_is_kept_and_costs_no_record() {
    let copy = |folder: &Path| fs::read(folder.join(FIRST_SEGMENT)).unwrap();
    let cases: [(&str, &str, Contents); 6] = [
        ("an empty file far behind", FAR_SEGMENT, |_| Vec::new()),
        ("zeros far behind", FAR_SEGMENT, |_| vec![0; 4096]),
        ("a copy under a wrong name", FAR_SEGMENT, copy),
        ("a block of another spool", FAR_SEGMENT, |_| foreign_block(1_000_000)),
        ("zeros within the last segment", "normal-0000000000000003.log", |_| vec![0; 4096]),
        ("a block within the last segment", "normal-0000000000000003.log", |_| foreign_block(3)),
    ];
    for (description, name, contents) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), 1);
        store(&mut spool, 5);
        drop(spool);
        let contents = contents(folder.path());
        fs::write(folder.path().join(name), &contents).unwrap();
        let mut spool = open(folder.path(), 2);
        assert_eq!(spool.stray_files(), 1, "{description}");
        assert_eq!(stray(folder.path()), contents, "{description}");
        assert_eq!(read_all(&mut spool), [1, 2, 3, 4, 5], "{description}");
        assert_eq!(spool.append(CLASS, b"record").unwrap(), AppendOutcome::Accepted(6), "{description}");
        spool.commit().unwrap();
        assert_eq!(spool.class_counters(CLASS).dropped(DropReason::Damaged), 0, "{description}");
        drop(spool);
        let mut spool = open(folder.path(), 3);
        assert_eq!((spool.stray_files(), read_all(&mut spool).len()), (1, 6), "{description}");
    }
}

#[test]
fn a_stray_file_in_an_empty_folder_is_not_the_beginning_of_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 1));
    fs::write(folder.path().join(FAR_SEGMENT), foreign_block(1_000_000)).unwrap();
    let mut spool = open(folder.path(), 2);
    assert_eq!((spool.stray_files(), spool.pending_records(CLASS)), (1, 0));
    assert_eq!(spool.append(CLASS, b"record").unwrap(), AppendOutcome::Accepted(1));
}

#[test]
fn files_that_only_resemble_segments_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 1));
    let names = ["normal-00000000000F4240.log", "normal-0000000000000000.log", "normal-1.log", "notes.txt"];
    for name in names {
        fs::write(folder.path().join(name), "text").unwrap();
    }
    let mut spool = open(folder.path(), 2);
    store(&mut spool, 1);
    assert_eq!((spool.stray_files(), read_all(&mut spool)), (0, vec![1]));
    for name in names {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"text", "{name}");
    }
}

#[test]
fn segments_behind_a_missing_one_belong_to_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    fill_four_segments(folder.path());
    fs::remove_file(folder.path().join("normal-0000000000000002.log")).unwrap();
    let mut spool = open(folder.path(), 2);
    let mut numbers = Vec::new();
    while let Some(record) = spool.read(CLASS).unwrap().first() {
        numbers.push(record.number);
    }
    assert_eq!((spool.stray_files(), numbers), (0, vec![1, 3, 4]));
    spool.acknowledge(CLASS, 4).unwrap();
    assert_eq!(spool.class_counters(CLASS).dropped(DropReason::Damaged), 1);
}

#[test]
fn a_spool_of_an_earlier_version_keeps_its_segments() {
    let folder = tempfile::tempdir().unwrap();
    fill_four_segments(folder.path());
    // The earlier format is shorter, and its state may not know the records before a segment.
    let path = folder.path().join("state");
    let mut state = fs::read(&path).unwrap();
    for slot in [0, 4096] {
        if state[slot..].starts_with(b"LSpA") {
            state[slot..slot + 4].copy_from_slice(b"LSpK");
            state[slot + 236..slot + 260].fill(0);
            let checksum = crc32c::crc32c(&state[slot + 8..slot + 708]);
            state[slot + 4..slot + 8].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    fs::write(&path, state).unwrap();
    let spool = open(folder.path(), 2);
    assert_eq!((spool.stray_files(), spool.pending_records(CLASS)), (0, 4));
    drop(spool);
    let spool = open(folder.path(), 3);
    assert_eq!((spool.stray_files(), spool.pending_records(CLASS)), (0, 4));
}
