//! The folders of the bundles, which are checked for changes while the server runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use lopside_decoder::Registry;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    audit::{AuditLog, record_folders},
    health::{Component, Fault, FaultKind, HealthState},
};

/// The served versions of bundles, as `NAME VERSION`.
type ServedVersions = BTreeMap<String, String>;

/// Checks the folders at every interval, for as long as the registry exists. Changes are added to the audit log.
pub(crate) async fn watch_folders(
    registry: Weak<Registry>,
    every: Duration,
    audit: AuditLog,
    health: HealthState,
) {
    let Some(mut changes) = registry.upgrade().map(|registry| registry.changes()) else { return };
    // Not seen yet, so that the served versions are listed before the first check.
    changes.mark_changed();
    let mut served = ServedVersions::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(registry) = registry.upgrade() else { return };
        // Bundles were loaded or unloaded by request.
        let before = if changes.has_changed().unwrap_or(true) { None } else { Some(served.clone()) };
        match tokio::task::spawn_blocking(move || refresh_bundles(&registry, before)).await {
            Ok((before, after)) => {
                changes.mark_unchanged();
                if let Some(after) = after {
                    record_folders(&audit, &before, &after).await;
                    served = after;
                } else {
                    served = before;
                }
                health.set_fault(Component::Folders, None);
            }
            Err(error) => {
                let reason = format!("the check of the bundles' folders has failed: {error}");
                health.set_fault(Component::Folders, Some(Fault::new(FaultKind::Other, reason)));
            }
        }
    }
}

/// Checks the folders once. Returns the versions that were served before and, after a change, those that are served now.
fn refresh_bundles(
    registry: &Arc<Registry>,
    before: Option<ServedVersions>,
) -> (ServedVersions, Option<ServedVersions>) {
    let before = before.unwrap_or_else(|| list_served(registry));
    let after = registry.refresh().then(|| list_served(registry));
    (before, after)
}

fn list_served(registry: &Registry) -> ServedVersions {
    let bundles = registry.list_bundles().into_iter().filter(|bundle| bundle.ready);
    bundles.map(|bundle| (format!("{} {}", bundle.name, bundle.version), String::new())).collect()
}
