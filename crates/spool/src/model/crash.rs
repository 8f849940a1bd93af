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
    let mut whole = Oracle::new(Faults::default(), self::seeded_rng(0));
    let operations = whole.run(steps).map_or(1, |()| whole.operations()).max(1);
    let mut at = |odds: u32| (rng.random_range(0..4) < odds).then(|| rng.random_range(1..=operations));
    let (crash_at, sync_fails_at) = (at(3), at(1));
    let room = (rng.random_range(0..8) == 0).then(|| rng.random_range(20_000..300_000));
    Faults { crash_at, sync_fails_at, capacity_bytes: room, broken_promise: None }
}

/// Draws a random schedule.
pub(super) fn random_steps(runner: &mut TestRunner) -> Vec<Step> {
    match vec(step(), 1..120).new_tree(runner) {
        Ok(steps) => steps.current(),
        Err(reason) => panic!("{reason}"),
    }
}

/// Runs a schedule. If `flip` is set, then flips two bits and runs the first half of the schedule again.
pub(super) fn run_schedule(steps: &[Step], faults: Faults, flip: bool, seed: u64) -> Result<(), String> {
    let mut oracle = Oracle::new(faults, seeded_rng(seed));
    oracle.run(steps)?;
    if flip {
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
    fn nothing_committed_is_lost_uncounted(steps in vec(step(), 1..120), flip in prop::bool::weighted(0.2), seed in any::<u64>()) {
        let faults = random_faults(&steps, &mut seeded_rng(seed));
        run_schedule(&steps, faults, flip, seed).map_err(TestCaseError::fail)?;
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
    let mut whole = Oracle::new(Faults::default(), seeded_rng(0));
    whole.run(&long_schedule())?;
    let crash = |at: u64| {
        let faults = Faults { crash_at: Some(at), broken_promise: control, ..Faults::default() };
        run_schedule(&long_schedule(), faults, false, seed)
            .map_err(|why| format!("a crash at {at}, seed {seed}: {why}"))
    };
    (1..=whole.operations()).try_for_each(crash)
}

/// Commits, reads and receives four records one after the other, with a sync that fails after any operation,
/// and a crash at any later operation.
pub(super) fn after_a_failed_sync(control: Option<BrokenPromise>) -> Result<(), String> {
    let class = Class::Low;
    let round = [Step::Append(class, 40), Step::Commit, Step::Read(class, usize::MAX)];
    let steps = round.repeat(4);
    let mut whole = Oracle::new(Faults::default(), seeded_rng(0));
    whole.run(&steps)?;
    // Opening the spool again takes further operations.
    let operations = 2 * whole.operations();
    for fails in 1..=operations {
        for crash in fails + 1..=operations {
            let faults = Faults {
                sync_fails_at: Some(fails),
                crash_at: Some(crash),
                broken_promise: control,
                ..Faults::default()
            };
            run_schedule(&steps, faults, false, crash)
                .map_err(|why| format!("a failing sync at {fails}, a crash at {crash}: {why}"))?;
        }
    }
    Ok(())
}

#[test]
fn an_acknowledgement_alone_costs_the_disk_nothing() {
    let (disk, class) = (MemoryDisk::default(), Class::Normal);
    let mut spool = Spool::open(disk.clone(), Options::new(BUDGET, 1)).unwrap();
    for _ in 0..2 {
        spool.append(class, b"record").unwrap();
        spool.commit().unwrap();
    }
    spool.read(class).unwrap();
    spool.mark_sending(class, 1).unwrap();
    let before = disk.operations();
    spool.acknowledge(class, 1).unwrap();
    spool.commit().unwrap();
    assert_eq!(
        (disk.operations(), spool.has_unsaved_acknowledgements(), spool.settled_on_disk(class)),
        (before, true, 0)
    );
    spool.checkpoint().unwrap();
    assert!(disk.operations() > before);
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
