//! The name of a spool belongs to one machine.

use std::{fs, path::Path};

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, Disk, MachineId, NameChange, Options, Spool};

const CLASS: Class = Class::Normal;

fn open(folder: &Path, epoch: u64, machine: Option<MachineId>) -> Spool<Disk> {
    let options = Options { machine, ..Options::new(300 << 10, epoch) };
    Spool::open(Disk::open(folder).unwrap(), options).unwrap()
}

fn machine(digit: &str) -> Option<MachineId> {
    let id = MachineId::parse(&digit.repeat(32));
    assert!(id.is_some());
    id
}

/// Returns the change of a name because of another machine.
fn from_other_machine(previous_name: u32) -> NameChange {
    NameChange { previous_name, is_other_machine: true, other_device: None }
}

/// Returns the folder of a spool with five records, which was opened on this machine, and its name.
fn stored(machine: Option<MachineId>) -> (tempfile::TempDir, u32) {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 7, machine);
    for number in 1..=5 {
        assert_eq!(spool.append(CLASS, b"record").unwrap(), AppendOutcome::Accepted(number));
    }
    spool.commit().unwrap();
    let name = spool.name();
    (folder, name)
}

#[test]
fn a_copy_on_another_machine_takes_a_new_name_and_keeps_its_records() {
    let (original, name) = stored(machine("a"));
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(original.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let mut copied = open(copy.path(), 8, machine("b"));
    let new_name = copied.name();
    assert_ne!(new_name, name);
    assert_eq!(copied.name_change(), Some(from_other_machine(name)));
    let records = copied.read(CLASS).unwrap();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(records.iter().all(|record| record.epoch == 7), "a record has the same identity everywhere");
    assert_eq!(copied.append(CLASS, b"next").unwrap(), AppendOutcome::Accepted(6));
    drop(copied);
    for (folder, machine, name) in [(&original, machine("a"), name), (&copy, machine("b"), new_name)] {
        let spool = open(folder.path(), 9, machine);
        assert_eq!((spool.name_change(), spool.name()), (None, name));
    }
}

#[test]
fn an_unknown_machine_changes_nothing() {
    let (folder, name) = stored(machine("a"));
    for known in [None, machine("a")] {
        let spool = open(folder.path(), 8, known);
        assert_eq!((spool.name_change(), spool.name()), (None, name));
    }
}

#[test]
fn a_spool_without_a_machine_is_bound_to_the_first_one() {
    let (folder, name) = stored(None);
    let bound = open(folder.path(), 8, machine("a"));
    assert_eq!((bound.name_change(), bound.name()), (None, name));
    drop(bound);
    assert_eq!(open(folder.path(), 9, machine("b")).name_change(), Some(from_other_machine(name)));
}
