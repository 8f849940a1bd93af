//! The times at which the cloud is told of the sources: at the beginning of a connection, and when something happens to
//! one of them. A source that fails again and again must not use up the link, so the number of reports is bounded.

use std::{collections::VecDeque, time::Duration};

use lopside_proto::v1::SourceReports;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::source_status::{SourceStatus, build_reports};

/// Maximum number of reports within the window.
const MAX_REPORTS: usize = 4;
/// The window of the bound on reports.
const WINDOW: Duration = Duration::from_mins(4);
/// Pause before a report that found the queue of the connection full is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The reports of one connection.
#[derive(Debug)]
pub(crate) struct ReportSchedule {
    statuses: watch::Receiver<Vec<SourceStatus>>,
    /// Time of the next report; `None` while there is nothing to report.
    due_at: Option<Instant>,
    /// The times of the last reports, the oldest first.
    sent_at: VecDeque<Instant>,
}

impl ReportSchedule {
    /// Creates the schedule of a new connection, whose first report is due at once.
    pub(crate) fn new(statuses: watch::Receiver<Vec<SourceStatus>>) -> Self {
        Self { statuses, due_at: Some(Instant::now()), sent_at: VecDeque::new() }
    }

    /// Waits until a report is due. It may be cancelled at any time.
    pub(crate) async fn wait_due(&mut self) {
        loop {
            if let Some(due_at) = self.due_at {
                return sleep_until(due_at).await;
            }
            if self.statuses.changed().await.is_err() {
                // The sources have ended with the agent, and nothing happens to them any more.
                return std::future::pending().await;
            }
            self.due_at = Some(self.earliest_report());
        }
    }

    /// Returns the report that is due.
    pub(crate) fn take(&mut self) -> SourceReports {
        let now = Instant::now();
        self.due_at = None;
        if self.sent_at.len() == MAX_REPORTS {
            self.sent_at.pop_front();
        }
        self.sent_at.push_back(now);
        build_reports(&self.statuses.borrow_and_update(), now)
    }

    /// Postpones the report that is due.
    pub(crate) fn postpone(&mut self) {
        self.due_at = Some(Instant::now() + RETRY_PAUSE);
    }

    /// Returns the earliest time at which the bound permits another report.
    fn earliest_report(&self) -> Instant {
        let now = Instant::now();
        match self.sent_at.front() {
            Some(oldest) if self.sent_at.len() == MAX_REPORTS => now.max(*oldest + WINDOW),
            _ => now,
        }
    }
}

/// Waits until a report is due, and for ever without a schedule.
pub(crate) async fn wait_report_due(schedule: Option<&mut ReportSchedule>) {
    match schedule {
        Some(schedule) => schedule.wait_due().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use lopside_delivery::SourceCondition;

    use super::*;

    fn statuses(restarts: u64) -> Vec<SourceStatus> {
        let name = "gate".into();
        let (condition, last_input_at, problem) = (SourceCondition::Working, None, None);
        vec![SourceStatus { name, condition, restarts, last_input_at, problem }]
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_report_is_due_at_once_and_the_others_after_a_change() {
        let published = watch::Sender::new(statuses(0));
        let mut schedule = ReportSchedule::new(published.subscribe());
        let start = Instant::now();
        schedule.wait_due().await;
        assert_eq!(schedule.take().sources[0].restarts, 0);
        assert!(tokio::time::timeout(WINDOW, schedule.wait_due()).await.is_err(), "nothing has changed");
        published.send_replace(statuses(1));
        schedule.wait_due().await;
        assert_eq!(start.elapsed().as_secs(), WINDOW.as_secs());
        assert_eq!(schedule.take().sources[0].restarts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_changes_all_the_time_is_reported_at_a_bounded_rate() {
        let published = watch::Sender::new(statuses(0));
        let mut schedule = ReportSchedule::new(published.subscribe());
        let start = Instant::now();
        let mut times = Vec::new();
        for restarts in 1..=2 * MAX_REPORTS as u64 {
            schedule.wait_due().await;
            let _ = schedule.take();
            times.push(start.elapsed().as_secs());
            published.send_replace(statuses(restarts));
        }
        let expected = [[0; MAX_REPORTS], [WINDOW.as_secs(); MAX_REPORTS]].concat();
        assert_eq!(times, expected);
        published.send_replace(statuses(77));
        schedule.wait_due().await;
        assert_eq!(schedule.take().sources[0].restarts, 77, "only the last state is reported");
    }

    #[tokio::test(start_paused = true)]
    async fn a_postponed_report_is_due_later_and_has_the_state_of_that_time() {
        let published = watch::Sender::new(statuses(0));
        let mut schedule = ReportSchedule::new(published.subscribe());
        let start = Instant::now();
        schedule.wait_due().await;
        schedule.postpone();
        published.send_replace(statuses(5));
        schedule.wait_due().await;
        assert_eq!(start.elapsed().as_secs(), RETRY_PAUSE.as_secs());
        assert_eq!(schedule.take().sources[0].restarts, 5);
        drop(published);
        assert!(tokio::time::timeout(WINDOW, schedule.wait_due()).await.is_err());
    }
}
