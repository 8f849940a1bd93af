//! Schedules: random ones, and fixed ones with a crash at each of their operations.

use std::env;

use lopside_delivery::Class;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

use super::{
    broken_promise::BrokenPromise,
    memory::{Faults, MemoryDisk},
    oracle::{BUDGET, Oracle},
    steps::{Step, schedule},
};
use crate::{AppendOutcome, DropReason, Options, Spool};

/// Draws the faults of a schedule: three in four lose the power once at a random operation, one in four fails
/// a sync, and one in eight runs on a disk of limited size.
pub(super) fn random_faults(steps: &[Step], rng: &mut TestRng) -> Faults {
    let operations = count_operations(steps, 0).unwrap_or(1).max(1);
    let mut random_operation =
        |odds: u32| (rng.random_range(0..4) < odds).then(|| rng.random_range(1..=operations));
    let (crash_at, sync_fails_at) = (random_operation(3), random_operation(1));
    let capacity_bytes = (rng.random_range(0..8) == 0).then(|| rng.random_range(20_000..300_000));
    Faults { crash_at, sync_fails_at, capacity_bytes, broken_promise: None }
}

/// Draws a random schedule.
pub(super) fn random_steps(runner: &mut TestRunner) -> Vec<Step> {
    match schedule().new_tree(runner) {
        Ok(steps) => steps.current(),
        Err(reason) => panic!("{reason}"),
    }
}

/// Runs a schedule. If `flips_bits` is set, then flips two bits and runs the first half of the schedule again.
pub(super) fn run_schedule(
    steps: &[Step],
    faults: Faults,
    flips_bits: bool,
    seed: u64,
) -> Result<(), String> {
    let mut oracle = Oracle::new(faults, kept_bytes(seed), seeded_rng(seed));
    oracle.run(steps)?;
    if flips_bits {
        oracle.flip(2);
        oracle.run(&steps[..steps.len() / 2])?;
    }
    Ok(())
}

/// Returns the number of disk operations of a schedule without faults.
fn count_operations(steps: &[Step], seed: u64) -> Result<u64, String> {
    let mut oracle = Oracle::new(Faults::default(), kept_bytes(seed), seeded_rng(seed));
    oracle.run(steps)?;
    Ok(oracle.operations())
}

/// Returns how many bytes of delivered records the spool of a schedule keeps: usually as many as the budget
/// allows.
fn kept_bytes(seed: u64) -> u64 {
    [u64::MAX, u64::MAX, 0, 40_000][seed as usize % 4]
}

fn seeded_rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Returns the number of random schedules: the environment variable, or 10,000.
fn schedule_count() -> u32 {
    env::var("LOPSIDE_CRASH_SCHEDULES").ok().and_then(|number| number.parse().ok()).unwrap_or(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: schedule_count(), ..ProptestConfig::default() })]

    #[test]
    fn no_committed_record_is_lost_without_being_counted(steps in schedule(), flips_bits in prop::bool::weighted(0.2), seed in any::<u64>()) {
        let faults = random_faults(&steps, &mut seeded_rng(seed));
        run_schedule(&steps, faults, flips_bits, seed).map_err(TestCaseError::fail)?;
    }
}

/// Returns a schedule that fills the spool, empties it in part, and continues.
fn long_schedule() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..14_usize {
        for class in Class::ALL {
            steps.push(Step::Append(class, 40 + 13 * round));
            steps.push(Step::Append(class, 9000 + 700 * round));
        }
        steps.push(Step::Commit);
        steps.extend(
            Class::ALL
                .into_iter()
                .skip(round % 3)
                .flat_map(|class| [Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)]),
        );
    }
    steps
}

/// Returns a schedule in which the receiver and the disk are set back after records were delivered.
fn set_back_schedule() -> Vec<Step> {
    let class = Class::Normal;
    let deliver = [Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)];
    let store = [Step::Append(class, 40), Step::Append(class, 3000), Step::Append(class, 40), Step::Commit];
    let round = [&store[..], &deliver[..]].concat();
    [
        round.repeat(3),
        vec![Step::Checkpoint, Step::SetReceiverBack(class, 4)],
        deliver.repeat(2),
        round.clone(),
        vec![Step::CopyDisk],
        round.repeat(2),
        vec![Step::SetDiskBack],
        round.repeat(2),
        deliver.repeat(2),
        vec![Step::SetReceiverBack(class, 2)],
        deliver.repeat(2),
        round,
    ]
    .concat()
}

/// Returns a schedule in which the device gets other names after records were delivered, and while others wait.
fn rename_schedule() -> Vec<Step> {
    let class = Class::Normal;
    let deliver = [Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)];
    let store = [Step::Append(class, 40), Step::Append(class, 3000), Step::Commit];
    let rename = [Step::RenameDevice, Step::Connect];
    [&store[..], &deliver, &rename, &store, &rename, &deliver, &store, &deliver, &rename].concat()
}

/// Returns schedules in which a record arrives, is not acknowledged, and is sent again under another name without
/// arriving again: the first under a new name of the device, the second under a new name of the spool.
fn resend_schedules() -> [Vec<Step>; 2] {
    let class = Class::Low;
    let store = [Step::Append(class, 40), Step::Commit];
    let (arrives, is_lost) = ([Step::Read(class, 1)], [Step::Read(class, 0), Step::Acknowledge(class, 0)]);
    // The next step opens the spool, which then takes the new name.
    let rename = [Step::RenameDevice, Step::Checkpoint];
    [
        [&store[..], &arrives, &rename, &is_lost, &[Step::Connect]].concat(),
        [
            &store[..],
            &[Step::CopyDisk],
            &arrives,
            &store,
            &arrives,
            &[Step::SetDiskBack],
            &store,
            &is_lost.repeat(2),
            &[Step::Connect],
        ]
        .concat(),
    ]
}

/// Runs the long schedule with a crash at each of its operations.
pub(super) fn at_any_operation(control: Option<BrokenPromise>, seed: u64) -> Result<(), String> {
    crash_at_each_operation(&long_schedule(), control, seed)
}

/// Runs the schedule in which the receiver and the disk are set back, with a crash at each of its operations.
pub(super) fn after_set_backs(control: Option<BrokenPromise>, seed: u64) -> Result<(), String> {
    crash_at_each_operation(&set_back_schedule(), control, seed)
}

fn crash_at_each_operation(steps: &[Step], control: Option<BrokenPromise>, seed: u64) -> Result<(), String> {
    (1..=count_operations(steps, seed)?).try_for_each(|operation| {
        let faults = Faults { crash_at: Some(operation), broken_promise: control, ..Faults::default() };
        run_schedule(steps, faults, false, seed)
            .map_err(|reason| format!("a crash at {operation}, seed {seed}: {reason}"))
    })
}

/// Commits, reads and receives four records one after the other, with a sync that fails after any operation,
/// and a crash at any later operation.
pub(super) fn after_a_failed_sync(control: Option<BrokenPromise>) -> Result<(), String> {
    let class = Class::Low;
    let round = [Step::Append(class, 40), Step::Commit, Step::Read(class, usize::MAX)];
    let steps = round.repeat(4);
    // Opening the spool again takes further operations.
    let operations = 2 * count_operations(&steps, 0)?;
    for sync_operation in 1..=operations {
        for crash_operation in sync_operation + 1..=operations {
            let faults = Faults {
                sync_fails_at: Some(sync_operation),
                crash_at: Some(crash_operation),
                broken_promise: control,
                ..Faults::default()
            };
            run_schedule(&steps, faults, false, crash_operation).map_err(|reason| {
                format!("a failing sync at {sync_operation}, a crash at {crash_operation}: {reason}")
            })?;
        }
    }
    Ok(())
}

#[test]
fn an_acknowledgement_alone_writes_nothing() {
    let (disk, class) = (MemoryDisk::default(), Class::Normal);
    let mut spool = Spool::open(disk.clone(), Options::new(BUDGET, 1)).unwrap();
    for _ in 0..2 {
        spool.append(class, b"record").unwrap();
        spool.commit().unwrap();
    }
    spool.read(class).unwrap();
    spool.mark_sending(class, 1).unwrap();
    let operations = disk.operations();
    spool.acknowledge(class, 1).unwrap();
    spool.commit().unwrap();
    assert_eq!(
        (disk.operations(), spool.has_unsaved_acknowledgements(), spool.settled_on_disk(class)),
        (operations, true, 0)
    );
    spool.checkpoint().unwrap();
    assert!(disk.operations() > operations);
    assert_eq!(
        (
            spool.has_unsaved_acknowledgements(),
            spool.settled_on_disk(class),
            spool.class_counters(class).delivered
        ),
        (false, 1, 1)
    );
}

#[test]
fn a_crash_after_a_failed_sync_loses_nothing() {
    after_a_failed_sync(None).unwrap();
}

#[test]
fn a_crash_after_a_set_back_loses_nothing() {
    for seed in 0..8 {
        after_set_backs(None, seed).unwrap();
    }
}

#[test]
fn a_crash_after_the_device_was_renamed_loses_nothing() {
    for seed in 0..8 {
        crash_at_each_operation(&rename_schedule(), None, seed).unwrap();
    }
}

#[test]
fn a_new_name_is_not_acknowledged_what_arrived_under_the_earlier_one() {
    for (steps, seed) in resend_schedules().iter().flat_map(|steps| (0..8).map(move |seed| (steps, seed))) {
        run_schedule(steps, Faults::default(), false, seed).unwrap();
        crash_at_each_operation(steps, None, seed).unwrap();
    }
}

#[test]
fn less_important_records_make_space_on_a_full_disk() {
    let disk = MemoryDisk::default();
    // The budget would allow twice as much.
    disk.set_faults(Faults { capacity_bytes: Some(BUDGET / 2), ..Faults::default() });
    let mut spool = Spool::open(disk, Options::new(BUDGET, 1)).unwrap();
    let mut stored = 0;
    while spool.append(Class::Low, &[1; 4000]).unwrap() != AppendOutcome::Refused {
        spool.commit().unwrap();
        stored += 1;
    }
    let pending = spool.pending_records(Class::Low);
    assert_eq!((pending, spool.class_counters(Class::Low).dropped(DropReason::Refused)), (stored, 1));
    for number in 1..=6 {
        assert_eq!(spool.append(Class::High, &[2; 4000]).unwrap(), AppendOutcome::Accepted(number));
        spool.commit().unwrap();
    }
    let low = spool.class_counters(Class::Low);
    assert!(low.dropped(DropReason::Evicted) > 0, "{low:?}");
    assert_eq!(low.dropped(DropReason::Evicted) + spool.pending_records(Class::Low), stored);
    // Records of their own class do not make space.
    while spool.append(Class::High, &[2; 4000]).unwrap() != AppendOutcome::Refused {
        spool.commit().unwrap();
    }
    assert_eq!(spool.pending_records(Class::Low), 0);
    assert_eq!(spool.class_counters(Class::High).dropped(DropReason::Evicted), 0);
}

#[test]
fn a_crash_at_any_operation_loses_nothing() {
    for seed in 0..4 {
        at_any_operation(None, seed).unwrap();
    }
}
