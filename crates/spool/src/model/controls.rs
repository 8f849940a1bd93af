//! The controls: schedules must detect each broken promise of the disk and of the receiver.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::RngExt as _;

use super::{broken_promise::BrokenPromise, crash, memory::Faults};

/// Runs random schedules, the long schedule with a crash at each operation, and crashes after a failed sync,
/// until one of them detects the broken promise. The schedules are the same in each run.
fn is_detected(control: BrokenPromise) -> bool {
    let rng = |seed| TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let config = Config { failure_persistence: None, ..Config::default() };
    let (mut rng, mut runner) = (rng(7), TestRunner::new_with_rng(config, rng(8)));
    let found_at_random = (0..1000).any(|_| {
        let steps = crash::random_steps(&mut runner);
        let faults = Faults { broken_promise: Some(control), ..crash::random_faults(&steps, &mut rng) };
        crash::run_schedule(&steps, faults, rng.random_range(0..4) == 0, rng.random()).is_err()
    });
    found_at_random
        || crash::after_set_backs(Some(control), 0).is_err()
        || (0..16).any(|seed| crash::at_any_operation(Some(control), seed).is_err())
        || crash::after_a_failed_sync(Some(control)).is_err()
}

#[test]
fn every_broken_promise_is_detected() {
    let undetected: Vec<BrokenPromise> =
        BrokenPromise::ALL.into_iter().filter(|&control| !is_detected(control)).collect();
    assert!(undetected.is_empty(), "{undetected:?}");
}
