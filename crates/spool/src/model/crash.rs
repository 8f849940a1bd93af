//! Schedules: random ones, and fixed ones with a crash at each of their operations.

use std::env;

use lopside_delivery::Class;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

use super::{
    broken_promise::BrokenPromise,
    memory::{Faults, MemoryDisk},
    oracle::{BUDGET, Oracle, Step, step},
};
use crate::{Options, Spool};

/// Draws the faults of a schedule: three in four lose the power once at a random operation, one in four fails
/// a sync, and one in eight runs on a disk of limited size.
pub(super) fn random_faults(steps: &[Step], rng: &mut TestRng) -> Faults {
    let mut oracle = Oracle::new(Faults::default(), self::seeded_rng(0));
    let operations = oracle.run(steps).map_or(1, |()| oracle.operations()).max(1);
    let mut random_operation =
        |odds: u32| (rng.random_range(0..4) < odds).then(|| rng.random_range(1..=operations));
    let (crash_at, sync_fails_at) = (random_operation(3), random_operation(1));
    let capacity_bytes = (rng.random_range(0..8) == 0).then(|| rng.random_range(20_000..300_000));
    Faults { crash_at, sync_fails_at, capacity_bytes, broken_promise: None }
}

/// Draws a random schedule.
pub(super) fn random_steps(runner: &mut TestRunner) -> Vec<Step> {
    match vec(step(), 1..120).new_tree(runner) {
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
    let mut oracle = Oracle::new(faults, seeded_rng(seed));
    oracle.run(steps)?;
    if flips_bits {
        oracle.flip(2);
        oracle.run(&steps[..steps.len() / 2])?;
    }
    Ok(())
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
    fn no_committed_record_is_lost_without_being_counted(steps in vec(step(), 1..120), flips_bits in prop::bool::weighted(0.2), seed in any::<u64>()) {
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

/// Runs the long schedule with a crash at each of its operations.
pub(super) fn at_any_operation(control: Option<BrokenPromise>, seed: u64) -> Result<(), String> {
    let mut oracle = Oracle::new(Faults::default(), seeded_rng(0));
    oracle.run(&long_schedule())?;
    let crash_at = |operation: u64| {
        let faults = Faults { crash_at: Some(operation), broken_promise: control, ..Faults::default() };
        run_schedule(&long_schedule(), faults, false, seed)
            .map_err(|reason| format!("a crash at {operation}, seed {seed}: {reason}"))
    };
    (1..=oracle.operations()).try_for_each(crash_at)
}

/// Commits, reads and receives four records one after the other, with a sync that fails after any operation,
/// and a crash at any later operation.
pub(super) fn after_a_failed_sync(control: Option<BrokenPromise>) -> Result<(), String> {
    let class = Class::Low;
    let round = [Step::Append(class, 40), Step::Commit, Step::Read(class, usize::MAX)];
    let steps = round.repeat(4);
    let mut oracle = Oracle::new(Faults::default(), seeded_rng(0));
    oracle.run(&steps)?;
    // Opening the spool again takes further operations.
    let operations = 2 * oracle.operations();
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
fn a_crash_at_any_operation_loses_nothing() {
    for seed in 0..4 {
        at_any_operation(None, seed).unwrap();
    }
}
