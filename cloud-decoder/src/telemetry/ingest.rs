//! Metrics of uploads. Devices are never labels: there may be any number of them.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use lopside_archive::{AppliedBatch, ArchiveError, Batch};
use lopside_telemetry::metrics::{Counter, Histogram, KeyValue, UpDownCounter, duration_histogram, meter};

/// The results of batches, in the label `result`.
const RESULTS: [&str; 6] = ["committed", "conflict", "invalid", "displaced", "stopping", "unavailable"];
/// Histogram boundaries for the deviation of clocks, in seconds: from a tenth of a second to a year.
const SKEW_BOUNDS_S: [f64; 10] =
    [0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0, 2_592_000.0, 31_536_000.0];

static INSTRUMENTS: OnceLock<IngestInstruments> = OnceLock::new();

/// The instruments of uploads.
#[derive(Debug)]
struct IngestInstruments {
    batches: Counter<u64>,
    frames: Counter<u64>,
    bytes: Counter<u64>,
    commit_duration: Histogram<f64>,
    connections: UpDownCounter<i64>,
    clock_skew: Histogram<f64>,
}

/// The measurement of one batch, from its arrival to its result.
#[derive(Debug)]
pub(crate) struct BatchMeasurement {
    started: Instant,
    bytes: u64,
}

/// A connected device, which is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct CountedConnection(());

/// Creates the counters with the value 0, so that they are visible before the first upload.
pub(crate) fn init_ingest_metrics() {
    for result in RESULTS {
        instruments().batches.add(0, &[KeyValue::new("result", result)]);
    }
    for result in ["applied", "replayed"] {
        instruments().frames.add(0, &[KeyValue::new("result", result)]);
    }
    instruments().bytes.add(0, &[]);
    instruments().connections.add(0, &[]);
}

/// Records the deviation of a device's clock, in Unix milliseconds, from that of the server; 0 is not a time.
pub(crate) fn record_clock(device_ms: i64) {
    if device_ms == 0 {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let skew_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX).abs_diff(device_ms);
    instruments().clock_skew.record(skew_ms as f64 / 1e3, &[]);
}

impl BatchMeasurement {
    pub(crate) fn begin(batch: &Batch) -> Self {
        let bytes = batch.records.iter().map(|record| record.frame.len() as u64).sum();
        Self { started: Instant::now(), bytes }
    }

    /// Records the result of the batch, and returns it.
    pub(crate) fn finish(
        self,
        applied: Result<AppliedBatch, ArchiveError>,
    ) -> Result<AppliedBatch, ArchiveError> {
        let instruments = instruments();
        instruments.batches.add(1, &[KeyValue::new("result", result_label(&applied))]);
        if let Ok(AppliedBatch { applied, replayed, .. }) = &applied {
            instruments.commit_duration.record(self.started.elapsed().as_secs_f64(), &[]);
            instruments.bytes.add(self.bytes, &[]);
            instruments.frames.add(*applied, &[KeyValue::new("result", "applied")]);
            instruments.frames.add(*replayed, &[KeyValue::new("result", "replayed")]);
        }
        applied
    }
}

impl CountedConnection {
    pub(crate) fn begin() -> Self {
        instruments().connections.add(1, &[]);
        Self(())
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        instruments().connections.add(-1, &[]);
    }
}

fn result_label(applied: &Result<AppliedBatch, ArchiveError>) -> &'static str {
    match applied {
        Ok(_) => "committed",
        Err(ArchiveError::Conflict { .. }) => "conflict",
        Err(ArchiveError::Refused { .. }) => "invalid",
        Err(ArchiveError::Superseded { .. }) => "displaced",
        Err(ArchiveError::Closed) => "stopping",
        Err(_) => "unavailable",
    }
}

fn instruments() -> &'static IngestInstruments {
    INSTRUMENTS.get_or_init(|| {
        let meter = meter();
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description)
        };
        let skew = meter.f64_histogram("lopside.ingest.clock.skew").with_unit("s");
        let skew = skew.with_description("Deviation of the clocks of devices that connect");
        IngestInstruments {
            batches: counter("lopside.ingest.batches", "Batches of frames, by result").build(),
            frames: counter("lopside.ingest.frames", "Frames of committed batches, by result").build(),
            bytes: counter("lopside.ingest.frames.size", "Bytes of the frames of committed batches")
                .with_unit("By")
                .build(),
            commit_duration: duration_histogram(
                "lopside.ingest.commit.duration",
                "Time from the arrival of a batch until it is durable",
            ),
            connections: meter
                .i64_up_down_counter("lopside.ingest.connections")
                .with_description("Devices that are connected")
                .build(),
            clock_skew: skew.with_boundaries(SKEW_BOUNDS_S.to_vec()).build(),
        }
    })
}
