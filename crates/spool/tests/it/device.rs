//! The name of a spool belongs to a device of one name.

use std::path::Path;

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, DeviceName, Disk, NameChange, Options, Spool};

const CLASS: Class = Class::Normal;

fn open(folder: &Path, epoch: u64, device: Option<&str>) -> Spool<Disk> {
    let device = device.map(|name| DeviceName::parse(name).unwrap());
    Spool::open(Disk::open(folder).unwrap(), Options { device, ..Options::new(300 << 10, epoch) }).unwrap()
}

/// Returns the folder of a spool of which eight records are stored and five delivered, and its name.
fn stored(device: Option<&str>) -> (tempfile::TempDir, u32) {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 7, device);
    for number in 1..=8 {
        assert_eq!(spool.append(CLASS, b"record").unwrap(), AppendOutcome::Accepted(number));
    }
    spool.commit().unwrap();
    spool.read(CLASS).unwrap();
    spool.mark_sending(CLASS, 5).unwrap();
    spool.acknowledge(CLASS, 5).unwrap();
    spool.checkpoint().unwrap();
    let name = spool.name();
    (folder, name)
}

#[test]
fn the_spool_of_a_renamed_device_takes_a_new_name_and_sends_what_was_not_delivered() {
    let (folder, name) = stored(Some("gate-7"));
    let mut spool = open(folder.path(), 8, Some("gate-8"));
    let change = NameChange {
        previous_name: name,
        is_other_machine: false,
        other_device: DeviceName::parse("gate-7"),
    };
    assert_eq!(spool.name_change(), Some(change));
    assert_ne!(spool.name(), name);
    assert_eq!(spool.times_renamed(), 0, "it was not copied");
    let counters = spool.class_counters(CLASS);
    assert_eq!((counters.delivered, counters.lost, spool.pending_records(CLASS)), (5, 0, 3));
    // The receiver does not know the spool under its new name. It must not miss what it has under the old one.
    assert_eq!((spool.acknowledged_on_disk(CLASS), spool.settled_on_disk(CLASS)), (0, 5));
    spool.resolve_received(CLASS, &[]).unwrap();
    let records = spool.read(CLASS).unwrap();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [6, 7, 8]);
    assert!(records.iter().all(|record| record.epoch == 7), "a record has the same identity everywhere");

    let new_name = spool.name();
    drop(spool);
    let spool = open(folder.path(), 9, Some("gate-8"));
    assert_eq!((spool.name_change(), spool.name()), (None, new_name), "the binding is on disk");
}

#[test]
fn an_unknown_or_unchanged_device_changes_nothing() {
    let (folder, name) = stored(Some("gate-7"));
    for device in [None, Some("gate-7")] {
        let spool = open(folder.path(), 8, device);
        assert_eq!((spool.name_change(), spool.name()), (None, name));
        assert_eq!(spool.acknowledged_on_disk(CLASS), 5);
    }
}

#[test]
fn a_spool_without_a_device_is_bound_to_the_first_one() {
    let (folder, name) = stored(None);
    assert_eq!(open(folder.path(), 8, Some("gate-7")).name_change(), None);
    let renamed = open(folder.path(), 9, Some("gate-8"));
    assert_eq!(renamed.name_change().map(|change| change.previous_name), Some(name));
}
