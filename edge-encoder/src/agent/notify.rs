//! What a service manager is told: ready, alive, stopping.

use std::time::Duration;

use lopside_uplink::Store;
use sd_notify::NotifyState;
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};

/// The agent is ready; from now on the service manager hears that it lives, for as long as its store works.
pub(super) fn ready(store: &Store) -> Option<JoinHandle<()>> {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let limit = sd_notify::watchdog_enabled()?;
    Some(tokio::spawn(watch(store.clone(), limit)))
}

/// The agent stores what it has captured, and ends then.
pub(super) fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

async fn watch(store: Store, limit: Duration) {
    let mut ticks = interval(limit / 3);
    loop {
        ticks.tick().await;
        if let Ok(Ok(())) = timeout(limit / 3, store.flush()).await {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}
