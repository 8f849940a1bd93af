//! The archive is checked at every interval, so that a database that has gone is noticed without an upload. A failed
//! write is noticed at once.
//!
//! A check that takes long is reported, and awaited nevertheless: the next check begins when it has ended. Checks of a
//! database that does not answer therefore do not pile up.

use std::{future::pending, pin::Pin, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use lopside_archive::{Archive, ArchiveError, ArchiveState};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, Sleep, interval, sleep},
};

use super::{
    component::Component,
    fault::{Fault, FaultKind},
    state::HealthState,
};

/// Time after which a check is reported to have no answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A running check of the archive.
type RunningCheck = BoxFuture<'static, Result<(), ArchiveError>>;

struct ArchiveMonitor {
    /// Begins a check.
    start_check: Box<dyn Fn() -> RunningCheck + Send>,
    /// The result of the last write.
    state: watch::Receiver<ArchiveState>,
    check: Option<RunningCheck>,
    /// Fires when the running check takes long.
    deadline: Pin<Box<Sleep>>,
    is_overdue: bool,
    /// The fault that the last check found.
    found: Option<Fault>,
    health: HealthState,
}

/// Checks the archive at every interval.
pub(crate) async fn monitor_archive(archive: Archive, health: HealthState, every: Duration) {
    let state = archive.state();
    let start_check = move || {
        let archive = archive.clone();
        async move { archive.health().await }.boxed()
    };
    ArchiveMonitor::new(Box::new(start_check), state, health).run(every, CHECK_TIMEOUT).await;
}

impl ArchiveMonitor {
    fn new(
        start_check: Box<dyn Fn() -> RunningCheck + Send>,
        state: watch::Receiver<ArchiveState>,
        health: HealthState,
    ) -> Self {
        let deadline = Box::pin(sleep(Duration::ZERO));
        Self { start_check, state, check: None, deadline, is_overdue: false, found: None, health }
    }

    async fn run(mut self, every: Duration, timeout: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // A write is newer than what the last check has found.
                Ok(()) = self.state.changed() => self.found = None,
                _ = ticks.tick(), if self.check.is_none() => {
                    self.check = Some((self.start_check)());
                    self.deadline.as_mut().reset(Instant::now() + timeout);
                    self.is_overdue = false;
                }
                result = finish_check(&mut self.check) => {
                    self.check = None;
                    self.found = result.err().map(|error| Fault::from(&error));
                }
                () = &mut self.deadline, if self.check.is_some() && !self.is_overdue => {
                    self.is_overdue = true;
                    let reason = format!("the archive has not answered for {timeout:?}");
                    self.found = Some(Fault::new(FaultKind::NoAnswer, reason));
                }
            }
            self.report();
        }
    }

    fn report(&mut self) {
        let fault = match &*self.state.borrow_and_update() {
            ArchiveState::Failing(error) => Some(Fault::from(error)),
            ArchiveState::Writable => self.found.clone(),
        };
        self.health.set_fault(Component::Archive, fault);
    }
}

/// Waits for the end of the running check; for ever if there is none.
async fn finish_check(check: &mut Option<RunningCheck>) -> Result<(), ArchiveError> {
    match check {
        Some(check) => check.await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use tokio::sync::{Semaphore, mpsc};
    use tonic_health::server::health_reporter;

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    /// Starts a monitor whose checks end when the test permits it. Each tells that it has begun.
    fn start_monitor(
        health: &HealthState,
        state: watch::Receiver<ArchiveState>,
    ) -> (mpsc::Receiver<()>, Arc<Semaphore>) {
        let (begun, beginnings) = mpsc::channel(8);
        let gate = Arc::new(Semaphore::new(0));
        let is_running = Arc::new(AtomicBool::new(false));
        let check_gate = Arc::clone(&gate);
        let start_check = move || {
            let (begun, gate, is_running) = (begun.clone(), Arc::clone(&check_gate), Arc::clone(&is_running));
            async move {
                assert!(!is_running.swap(true, Ordering::Relaxed), "two checks at the same time");
                let _ = begun.try_send(());
                gate.acquire().await.unwrap().forget();
                is_running.store(false, Ordering::Relaxed);
                Ok(())
            }
            .boxed()
        };
        let monitor = ArchiveMonitor::new(Box::new(start_check), state, health.clone());
        health.supervise(Component::Archive, monitor.run(SHORT, SHORT));
        (beginnings, gate)
    }

    fn fault(health: &HealthState) -> Option<String> {
        health.check("archive").unwrap().fault
    }

    #[tokio::test]
    async fn checks_without_an_answer_are_reported_and_do_not_pile_up() {
        let health = HealthState::new(health_reporter().0, Vec::new(), true);
        let writes = watch::Sender::new(ArchiveState::Writable);
        let mut faults = health.subscribe_faults();
        let (mut beginnings, gate) = start_monitor(&health, writes.subscribe());
        for _ in 0..3 {
            beginnings.recv().await.unwrap();
            while fault(&health).is_none() {
                faults.changed().await.unwrap();
            }
            assert_eq!(fault(&health).as_deref(), Some("no answer"));
            assert!(beginnings.try_recv().is_err(), "the next check begins when this one has ended");
            gate.add_permits(1);
        }
        gate.add_permits(Semaphore::MAX_PERMITS / 2);
        while fault(&health).is_some() {
            faults.changed().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_failed_write_is_reported_during_a_check() {
        let health = HealthState::new(health_reporter().0, Vec::new(), true);
        let writes = watch::Sender::new(ArchiveState::Writable);
        let mut faults = health.subscribe_faults();
        let (mut beginnings, _gate) = start_monitor(&health, writes.subscribe());
        beginnings.recv().await.unwrap();
        let full = ArchiveError::Full { place: "archive.db".into(), cause: "no space".into() };
        writes.send_replace(ArchiveState::Failing(full));
        while fault(&health).as_deref() != Some("disk full") {
            faults.changed().await.unwrap();
        }
    }
}
