//! Notifications to the service manager: ready, watchdog, stopping.

use std::time::Duration;

use lopside_uplink::Store;
use sd_notify::NotifyState;
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};

use super::liveness::AgentLiveness;

/// Reports that the agent is ready. If the service manager has a watchdog, starts a task that notifies it as
/// long as all stages work.
pub(super) fn ready(store: &Store, liveness: AgentLiveness) -> Option<JoinHandle<()>> {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let limit = sd_notify::watchdog_enabled()?;
    Some(tokio::spawn(run_watchdog(store.clone(), liveness, limit)))
}

/// Reports that the agent is stopping; it still stores the captured inputs.
pub(super) fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

async fn run_watchdog(store: Store, liveness: AgentLiveness, limit: Duration) {
    let mut ticks = interval(limit / 3);
    loop {
        ticks.tick().await;
        let stores = matches!(timeout(limit / 3, store.flush()).await, Ok(Ok(())));
        if stores && liveness.stalled_stage().is_none() {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}
