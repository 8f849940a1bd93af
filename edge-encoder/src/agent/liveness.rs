//! Signs of life of the agent's stages: which source is silent although it should deliver, and which thread hangs.
//!
//! | stage | how it is asked |
//! |---|---|
//! | a source, its rate limit, the encoder | each thread notes when it begins a step of its work, and when it waits |
//! | files that are being stored, the uplink, updates, the status | they share a thread with the task that asks |
//! | the store | it has to answer |
//!
//! A source that waits for its next input is healthy as a thread, for as long as it waits. Whether it is silent is
//! decided by the limit of its settings. Programs and cameras are then started again by the source itself, and the cloud is
//! told of it.

use std::{sync::Arc, time::Duration};

use lopside_uplink::SourceStatus;
use tokio::{sync::watch, time::interval};

use super::{
    counters::AgentCounters,
    source_liveness::is_stalled,
    source_reports::{publish_statuses, source_statuses},
    source_state::SourceState,
};

/// A thread that takes longer for one step hangs. The largest image takes a few minutes on the slowest device.
const MAX_STEP_TIME: Duration = Duration::from_mins(15);
/// Interval at which the stages are asked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The signs of life of all stages.
#[derive(Debug, Clone)]
pub(super) struct AgentLiveness {
    counters: Arc<AgentCounters>,
    /// The state of the sources, of which the cloud is told.
    statuses: watch::Sender<Vec<SourceStatus>>,
}

impl AgentLiveness {
    pub(super) fn new(counters: &Arc<AgentCounters>) -> Self {
        let statuses = watch::Sender::new(source_statuses(&counters.sources));
        Self { counters: Arc::clone(counters), statuses }
    }

    /// Returns the state of the sources, and notifies of what the cloud is told.
    pub(super) fn statuses(&self) -> watch::Receiver<Vec<SourceStatus>> {
        self.statuses.subscribe()
    }

    /// Returns the name of a stage that hangs.
    pub(super) fn stalled_stage(&self) -> Option<String> {
        self.find_stalled(MAX_STEP_TIME)
    }

    fn find_stalled(&self, max_step_time: Duration) -> Option<String> {
        if is_stalled(&self.counters.encoding, max_step_time) {
            return Some("the encoder".to_owned());
        }
        let mut sources = self.counters.sources.iter();
        let source = sources.find(|source| source.liveness.is_stalled(max_step_time));
        source.map(|source| format!("the source {}", source.name))
    }

    /// Logs when a source falls silent or delivers again, and when a stage hangs, and publishes the state of the sources,
    /// for as long as the task runs.
    pub(super) async fn watch(self) {
        let mut ticks = interval(POLL_INTERVAL);
        let mut silent = vec![false; self.counters.sources.len()];
        let mut stalled = None;
        loop {
            ticks.tick().await;
            for (source, was_silent) in self.counters.sources.iter().zip(&mut silent) {
                *was_silent = report_silence(source, *was_silent);
            }
            publish_statuses(&self.counters.sources, &self.statuses);
            let found = self.stalled_stage();
            if let Some(stage) = found.as_ref().filter(|_| found != stalled) {
                tracing::error!(
                    stage,
                    "a stage of the agent hangs; the watchdog of the service will restart the agent"
                );
            }
            stalled = found;
        }
    }
}

/// Logs a change, and returns whether the source is silent.
fn report_silence(source: &SourceState, was_silent: bool) -> bool {
    let exceeded = source.liveness.exceeded_silence();
    match exceeded {
        Some(limit) if !was_silent => {
            let seconds = limit.as_secs_f64();
            tracing::warn!(
                source = source.name,
                seconds,
                "the source is silent: it has not delivered an input for too long"
            );
        }
        None if was_silent && !source.liveness.has_ended() => {
            tracing::warn!(source = source.name, "the source delivers again");
        }
        _ => {}
    }
    exceeded.is_some()
}
