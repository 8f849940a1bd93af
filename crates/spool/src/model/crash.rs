//! Schedules: random ones, and fixed ones with a crash at each of their operations.

use std::{env, time::Duration};

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
    schedules::{
        drop_schedule, long_schedule, one_class_schedule, rename_schedule, resend_schedules,
        set_back_schedule,
    },
    steps::{Step, schedule},
};
use crate::{AppendOutcome, ClassPolicy, DropPolicy, DropReason, Options, Spool};

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
    let mut oracle = Oracle::new(faults, &limits(seed), seeded_rng(seed));
    oracle.run(steps)?;
    if flips_bits {
        oracle.flip(2);
        oracle.run(&steps[..steps.len() / 2])?;
    }
    Ok(())
}

/// Returns the number of disk operations of a schedule without faults.
fn count_operations(steps: &[Step], seed: u64) -> Result<u64, String> {
    let mut oracle = Oracle::new(Faults::default(), &limits(seed), seeded_rng(seed));
    oracle.run(steps)?;
    Ok(oracle.operations())
}

/// Returns the limits of the spool of a schedule. It usually keeps as many delivered records as the budget allows.
fn limits(seed: u64) -> Options {
    let keep_delivered_bytes = [u64::MAX, u64::MAX, 0, 40_000][seed as usize % 4];
    Options { keep_delivered_bytes, policies: policies(seed / 4), ..Options::new(BUDGET, 0) }
}

/// Returns one of four kinds of policies: the default, the oldest records are dropped, old records expire, or a mixture.
fn policies(seed: u64) -> [ClassPolicy; 3] {
    let (default, oldest) =
        (ClassPolicy::default(), ClassPolicy { drop_policy: DropPolicy::Oldest, max_age: None });
    let expiring = |policy: ClassPolicy, age_s| {
        let max_age = Some(Duration::from_secs(age_s));
        ClassPolicy { max_age, ..policy }
    };
    match seed % 4 {
        0 => [default; 3],
        1 => [oldest; 3],
        2 => [expiring(default, 600); 3],
        _ => [expiring(oldest, 300), oldest, expiring(default, 2000)],
    }
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

/// Runs the long schedule with a crash at each of its operations.
pub(super) fn at_any_operation(control: Option<BrokenPromise>, seed: u64) -> Result<(), String> {
    crash_at_each_operation(&long_schedule(), control, seed)
}

/// Runs the schedules that drop records, with a crash at each of their operations.
fn while_records_are_dropped(seed: u64) -> Result<(), String> {
    crash_at_each_operation(&one_class_schedule(), None, seed)?;
    crash_at_each_operation(&drop_schedule(), None, seed)
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
fn a_crash_under_any_policy_loses_nothing() {
    for seed in 0..16 {
        for steps in [one_class_schedule(), drop_schedule()] {
            run_schedule(&steps, Faults::default(), false, seed).unwrap();
        }
    }
    // Each policy once; the other seeds differ in how many delivered records are kept.
    for seed in [3, 4, 10, 13] {
        while_records_are_dropped(seed).unwrap();
    }
}

/// The schedules must exercise what they are for.
#[test]
fn the_schedules_drop_records_as_the_policies_say() {
    let dropped = |steps: &[Step], seed| {
        let mut oracle = Oracle::new(Faults::default(), &limits(seed), seeded_rng(seed));
        oracle.run(steps).unwrap();
        Class::ALL.map(|class| {
            let counters = oracle.counters(class);
            DropReason::ALL.map(|reason| counters.dropped(reason))
        })
    };
    let [[evicted, refused, ..], ..] = dropped(&one_class_schedule(), 0);
    assert!(evicted == 0 && refused > 0, "{evicted} {refused}");
    let [[evicted, refused, ..], ..] = dropped(&one_class_schedule(), 4);
    assert!(evicted > 0 && refused == 0, "{evicted} {refused}");
    for (seed, expires) in [(0, [false; 3]), (8, [true; 3])] {
        let dropped = dropped(&drop_schedule(), seed);
        assert_eq!(dropped.map(|[.., expired]| expired > 0), expires, "{dropped:?}");
        assert!(dropped.concat().iter().sum::<u64>() > 0);
    }
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
