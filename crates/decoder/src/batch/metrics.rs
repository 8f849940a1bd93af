//! The metric instruments of one head. Labels are resolved once, when the head is started, so that counting is a
//! single addition.

use std::time::Duration;

use lopside_telemetry::metrics::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, KeyValue, Meter, duration_histogram, meter,
};

use super::{discard_reason::DiscardReason, head_name::HeadName};
use crate::model::RunTimes;

/// Histogram bounds of batch sizes, in items.
const BATCH_SIZE_BOUNDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The metrics of one head. After the head is dropped, its counters keep their values, and its load metrics are
/// 0.
#[derive(Debug)]
pub(crate) struct HeadMetrics {
    success: BoundCounter<u64>,
    failure: BoundCounter<u64>,
    expired: BoundCounter<u64>,
    abandoned: BoundCounter<u64>,
    refused: BoundCounter<u64>,
    items: BoundCounter<u64>,
    runs: BoundCounter<u64>,
    batch_size: BoundHistogram<u64>,
    request_seconds: BoundHistogram<f64>,
    queue_seconds: BoundHistogram<f64>,
    input_seconds: BoundHistogram<f64>,
    infer_seconds: BoundHistogram<f64>,
    output_seconds: BoundHistogram<f64>,
    jobs: BoundUpDownCounter<i64>,
    bytes: BoundUpDownCounter<i64>,
}

impl HeadMetrics {
    pub(super) fn for_head(name: HeadName<'_>) -> Self {
        let labels = [
            KeyValue::new("bundle", name.bundle.to_owned()),
            KeyValue::new("head", name.head.to_owned()),
            KeyValue::new("version", name.version.to_string()),
        ];
        let instruments = HeadInstruments { meter: meter(), labels };
        let requests = instruments.meter.u64_counter("lopside.requests");
        let requests = requests.with_description("Requests of a head, by result").build();
        let sizes = instruments.meter.u64_histogram("lopside.batch.size").with_description("Items per run");
        Self {
            success: instruments.bind_result(&requests, "success"),
            failure: instruments.bind_result(&requests, "failure"),
            expired: instruments.bind_result(&requests, "expired"),
            abandoned: instruments.bind_result(&requests, "abandoned"),
            refused: instruments.bind_result(&requests, "refused"),
            items: instruments.bind_counter("lopside.items", "Items that a head has processed"),
            runs: instruments.bind_counter("lopside.runs", "Runs of a model"),
            batch_size: sizes.with_boundaries(BATCH_SIZE_BOUNDS.to_vec()).build().bind(&instruments.labels),
            request_seconds: instruments
                .bind_durations("lopside.request.duration", "Time from queueing a request to its response"),
            queue_seconds: instruments
                .bind_durations("lopside.queue.duration", "Time from queueing a request to its run"),
            input_seconds: instruments
                .bind_durations("lopside.input.duration", "Time to assemble the inputs of a run"),
            infer_seconds: instruments
                .bind_durations("lopside.infer.duration", "Time that the model takes for a run"),
            output_seconds: instruments
                .bind_durations("lopside.output.duration", "Time to collect the outputs of a run"),
            jobs: instruments.bind_up_down_counter("lopside.jobs", "{job}", "Queued and running requests"),
            bytes: instruments.bind_up_down_counter(
                "lopside.jobs.size",
                "By",
                "Bytes of the tensors of queued and running requests",
            ),
        }
    }

    pub(super) fn record_run(&self, items: usize, times: RunTimes) {
        self.items.add(items as u64);
        self.runs.add(1);
        self.batch_size.record(items as u64);
        self.input_seconds.record(times.input.as_secs_f64());
        self.infer_seconds.record(times.infer.as_secs_f64());
        self.output_seconds.record(times.output.as_secs_f64());
    }

    pub(super) fn record_success(&self, queue_time: Duration, total_time: Duration) {
        self.success.add(1);
        self.queue_seconds.record(queue_time.as_secs_f64());
        self.request_seconds.record(total_time.as_secs_f64());
    }

    pub(super) fn record_failure(&self) {
        self.failure.add(1);
    }

    pub(super) fn record_refusal(&self) {
        self.refused.add(1);
    }

    pub(super) fn record_discard(&self, reason: DiscardReason) {
        match reason {
            DiscardReason::Expired => self.expired.add(1),
            DiscardReason::Abandoned => self.abandoned.add(1),
        }
    }

    pub(super) fn add_job(&self, bytes: usize) {
        self.jobs.add(1);
        self.bytes.add(bytes as i64);
    }

    pub(super) fn remove_job(&self, bytes: usize) {
        self.jobs.add(-1);
        self.bytes.add(-(bytes as i64));
    }
}

/// The meter and the labels of one head, which create the instruments of its metrics.
struct HeadInstruments {
    meter: Meter,
    labels: [KeyValue; 3],
}

impl HeadInstruments {
    /// Binds the counter of requests to a result, in addition to the labels.
    fn bind_result(&self, requests: &Counter<u64>, result: &'static str) -> BoundCounter<u64> {
        let labels: Vec<KeyValue> =
            self.labels.iter().cloned().chain([KeyValue::new("result", result)]).collect();
        requests.bind(&labels)
    }

    fn bind_counter(&self, name: &'static str, description: &'static str) -> BoundCounter<u64> {
        self.meter.u64_counter(name).with_description(description).build().bind(&self.labels)
    }

    fn bind_durations(&self, name: &'static str, description: &'static str) -> BoundHistogram<f64> {
        duration_histogram(name, description).bind(&self.labels)
    }

    fn bind_up_down_counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> BoundUpDownCounter<i64> {
        let counter = self.meter.i64_up_down_counter(name).with_unit(unit).with_description(description);
        counter.build().bind(&self.labels)
    }
}
