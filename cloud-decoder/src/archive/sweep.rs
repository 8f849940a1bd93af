use std::time::Duration;

use lopside_archive::{Archive, ArchiveError};
use tokio::time::{MissedTickBehavior, interval};

use super::times::now_us;

/// Interval between two deletions of frames over the limits.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Deletes frames over the age and size limits periodically, until the archive is closed.
pub(super) async fn sweep_periodically(archive: Archive) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match archive.sweep(now_us()).await {
            Ok(swept) if swept.frames > 0 => {
                tracing::info!(frames = swept.frames, bytes = swept.bytes, "old frames deleted");
            }
            Ok(_) => {}
            Err(ArchiveError::Closed) => return,
            Err(error) => tracing::error!(%error, "old frames cannot be deleted"),
        }
    }
}
