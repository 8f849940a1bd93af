//! A spool whose files were damaged: the bytes say which parts are overwritten, cut off or removed. It opens or reports
//! an error; if it opens, all of its records can be read and acknowledged, and every record is accounted for.

#![no_main]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use lopside_delivery::Class;
use lopside_fuzz::fuzz_target;
use lopside_spool::{Disk, Options, Spool};
use tempfile::TempDir;

const BUDGET_BYTES: u64 = 1 << 20;
/// Number of records per class before the damage.
const RECORDS: u64 = 40;

fuzz_target!(|bytes: &[u8]| {
    let folder = TempDir::new().expect("a folder can be created");
    fill(folder.path());
    damage(folder.path(), bytes);
    let Ok(mut spool) = open(folder.path(), 2) else { return };
    for class in Class::ALL {
        read_all(&mut spool, class);
    }
    drop(spool);
    let mut spool = open(folder.path(), 3).expect("a spool that was opened once opens again");
    for class in Class::ALL {
        assert_eq!(read_all(&mut spool, class), 0, "records are there again");
    }
});

fn open(folder: &Path, epoch: u64) -> Result<Spool<Disk>, lopside_spool::SpoolError> {
    Spool::open(Disk::open(folder).expect("the folder can be opened"), Options::new(BUDGET_BYTES, epoch))
}

/// Writes records of three classes, and acknowledges some.
fn fill(folder: &Path) {
    let mut spool = open(folder, 1).expect("an empty folder can be opened");
    for class in Class::ALL {
        for number in 0..RECORDS {
            spool.append(class, &vec![number as u8; 400]).expect("there is space");
        }
    }
    spool.commit().expect("the records can be written");
    spool.read(Class::Normal).expect("the records can be read");
    spool.mark_sending(Class::Normal, 10).expect("nothing is in doubt");
    spool.acknowledge(Class::Normal, 10).expect("the records can be acknowledged");
    spool.checkpoint().expect("the cursor can be written");
}

/// Applies damage: four bytes of position, one of length and one of kind, then the new bytes.
fn damage(folder: &Path, mut bytes: &[u8]) {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("it exists").path())
        .collect();
    names.sort();
    while let [file, kind, a, b, length, rest @ ..] = bytes {
        let path = &names[usize::from(*file) % names.len()];
        let offset = u64::from(u16::from_le_bytes([*a, *b])) % (1 << 14);
        let (content, remaining) = rest.split_at(usize::from(*length).min(rest.len()));
        match kind % 8 {
            0 => drop(fs::remove_file(path)),
            1 => change(path, |file| file.set_len(offset)),
            2 => change(path, |file| file.set_len(1 << 16)),
            _ => change(path, |file| file.write_all_at(content, offset)),
        }
        bytes = remaining;
    }
}

fn change(path: &Path, change: impl FnOnce(&File) -> std::io::Result<()>) {
    if let Ok(file) = File::options().write(true).open(path) {
        change(&file).expect("the file can be changed");
    }
}

/// Reads and acknowledges all records of a class, and returns their number.
fn read_all(spool: &mut Spool<Disk>, class: Class) -> u64 {
    spool.resolve_received(class, &[]).expect("the spool is usable");
    let (mut count, mut last) = (0, 0);
    loop {
        let records = spool.read(class).expect("the records can be read");
        let Some(newest) = records.last() else { break };
        for record in &records {
            assert!(record.number > last, "record {} follows {last}", record.number);
            last = record.number;
        }
        spool.mark_sending(class, newest.number).expect("nothing is in doubt");
        spool.acknowledge(class, newest.number).expect("the records can be acknowledged");
        count += records.len() as u64;
        assert!(count <= RECORDS * Class::ALL.len() as u64, "there are more records than were written");
    }
    spool.checkpoint().expect("the cursor can be written");
    assert_eq!(spool.pending_records(class), 0);
    count
}
