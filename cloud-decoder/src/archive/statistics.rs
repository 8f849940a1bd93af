//! The figures of the archive, for the metrics: they are read at an interval, because a scrape must not wait for the
//! database. While they cannot be read, there are none.

use std::time::Duration;

use lopside_archive::{Archive, ArchiveSummary};
use lopside_telemetry::metrics::{KeyValue, meter};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::times::now_us;
use crate::health::{Component, HealthState};

/// Interval between two readings.
const READ_INTERVAL: Duration = Duration::from_secs(30);
/// Time without a contact after which a device is silent.
const SILENT_AFTER: Duration = Duration::from_hours(1);

/// Reads the figures once, registers their gauges, and spawns a task that reads them at every interval.
pub(super) async fn start(archive: &Archive, health: &HealthState) {
    let figures = watch::Sender::new(read_figures(archive).await);
    register_gauges(&figures);
    health.supervise_until_stop(Component::Statistics, read_periodically(archive.clone(), figures));
}

async fn read_periodically(archive: Archive, figures: watch::Sender<Option<ArchiveSummary>>) {
    let mut ticks = interval_at(Instant::now() + READ_INTERVAL, READ_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        figures.send_replace(read_figures(&archive).await);
    }
}

async fn read_figures(archive: &Archive) -> Option<ArchiveSummary> {
    let silent_before_us = now_us() - SILENT_AFTER.as_micros() as i64;
    match archive.summary(silent_before_us).await {
        Ok(summary) => Some(summary),
        Err(error) => {
            tracing::warn!(%error, "the figures of the archive cannot be read");
            None
        }
    }
}

fn register_gauges(figures: &watch::Sender<Option<ArchiveSummary>>) {
    let summary = figures.subscribe();
    let _ = meter()
        .u64_observable_gauge("lopside.archive.devices")
        .with_description("Devices of the archive, by condition")
        .with_callback(move |gauge| {
            for (condition, devices) in summary.borrow().iter().flat_map(device_counts) {
                gauge.observe(devices, &[KeyValue::new("condition", condition)]);
            }
        })
        .build();
    let summary = figures.subscribe();
    let _ = meter()
        .u64_observable_gauge("lopside.archive.frames")
        .with_description("Frames in the archive")
        .with_callback(move |gauge| {
            if let Some(summary) = &*summary.borrow() {
                gauge.observe(summary.frames, &[]);
            }
        })
        .build();
    let summary = figures.subscribe();
    let _ = meter()
        .u64_observable_gauge("lopside.archive.size")
        .with_unit("By")
        .with_description("Bytes of the frames in the archive")
        .with_callback(move |gauge| {
            if let Some(summary) = &*summary.borrow() {
                gauge.observe(summary.bytes, &[]);
            }
        })
        .build();
    let summary = figures.subscribe();
    let _ = meter()
        .u64_observable_gauge("lopside.archive.disk.size")
        .with_unit("By")
        .with_description("Bytes that the archive occupies on disk, without free space in its files")
        .with_callback(move |gauge| {
            if let Some(summary) = &*summary.borrow() {
                gauge.observe(summary.disk_bytes, &[]);
            }
        })
        .build();
    let summary = figures.subscribe();
    let _ = meter()
        .f64_observable_gauge("lopside.archive.newest.frame.age")
        .with_unit("s")
        .with_description("Time since the arrival of the newest frame")
        .with_callback(move |gauge| {
            let newest = summary.borrow().and_then(|summary| summary.newest_received_us);
            if let Some(received_us) = newest {
                gauge.observe(now_us().saturating_sub(received_us).max(0) as f64 / 1e6, &[]);
            }
        })
        .build();
}

/// Returns the numbers of devices by condition. A device may have several conditions.
fn device_counts(summary: &ArchiveSummary) -> [(&'static str, u64); 6] {
    [
        ("known", summary.devices),
        ("silent", summary.silent),
        ("conflicting", summary.conflicting),
        ("alternating", summary.alternating),
        ("displaced", summary.displaced),
        ("losing", summary.losing),
    ]
}
