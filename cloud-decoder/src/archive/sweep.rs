//! The task that deletes frames over the limits of the archive.

use std::time::Duration;

use lopside_archive::{Archive, ArchiveError, DeletedFrames, SweepReport};
use lopside_telemetry::metrics::{KeyValue, meter};
use tokio::time::{MissedTickBehavior, interval};

use super::times::now_us;

/// Interval between two deletions of frames over the limits.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Creates the counters with the value 0, so that they are visible before the first deletion.
pub(super) fn init_counters() {
    count_deletions(&SweepReport::default());
}

/// Deletes frames over the limits of age, quotas and size periodically, until the archive is closed.
pub(super) async fn sweep_periodically(archive: Archive) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match archive.sweep(now_us()).await {
            Ok(report) => {
                count_deletions(&report);
                log_deletions(&report);
            }
            Err(ArchiveError::Closed) => return,
            Err(error) => tracing::error!(%error, "old frames cannot be deleted"),
        }
    }
}

/// Returns the deleted frames, each with the label of the reason.
fn deletions(report: &SweepReport) -> [(&'static str, DeletedFrames); 3] {
    let SweepReport { expired, over_quota, over_size } = *report;
    [("age", expired), ("device_quota", over_quota), ("size", over_size)]
}

/// Adds the deleted frames to the counters.
fn count_deletions(report: &SweepReport) {
    let meter = meter();
    let frames = meter.u64_counter("lopside.archive.deleted.frames");
    let frames = frames.with_description("Frames that were deleted because of a limit").build();
    let size = meter.u64_counter("lopside.archive.deleted.size").with_unit("By");
    let size = size.with_description("Bytes of these frames").build();
    for (reason, deleted) in deletions(report) {
        let labels = [KeyValue::new("reason", reason)];
        frames.add(deleted.frames, &labels);
        size.add(deleted.bytes, &labels);
    }
}

fn log_deletions(report: &SweepReport) {
    let DeletedFrames { frames, bytes } = report.total();
    if frames > 0 {
        tracing::info!(
            frames,
            bytes,
            over_age = report.expired.frames,
            over_device_quota = report.over_quota.frames,
            over_size = report.over_size.frames,
            "frames over the limits of the archive deleted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_label() {
        let of = |frames| DeletedFrames { frames, bytes: 10 * frames };
        let report = SweepReport { expired: of(1), over_quota: of(2), over_size: of(4) };
        assert_eq!(deletions(&report), [("age", of(1)), ("device_quota", of(2)), ("size", of(4))]);
        let all: u64 = deletions(&report).iter().map(|(_, deleted)| deleted.frames).sum();
        assert_eq!(all, report.total().frames);
    }
}
