//! Counters of the whole server.

use std::{sync::Arc, time::SystemTime};

use lopside_telemetry::metrics::{KeyValue, meter};

use crate::transport::FrontStats;

/// The label of queries for unknown channels: names that clients choose must not become labels.
pub(crate) const OTHER_CHANNEL: &str = "_OTHER";

/// Creates the counters of channels with the value 0, so that they are visible before the first query.
pub(crate) fn init_channel_counters() {
    add_channel_queries(OTHER_CHANNEL, "refused", 0);
    add_downloads("done", 0, 0);
}

/// Counts a device's query for a channel, which was `offered` or `refused`.
pub(crate) fn count_channel_query(channel: &str, result: &'static str) {
    add_channel_queries(channel, result, 1);
}

/// Counts a download of a bundle's file, which was `done`, or `broken_off` by either end, after this many
/// bytes.
pub(crate) fn count_download(result: &'static str, bytes: u64) {
    add_downloads(result, 1, bytes);
}

/// Registers the counters of connections and reloads, and the gauges of memory and certificate, which are read with every
/// export.
pub(crate) fn register_front_metrics(stats: &Arc<FrontStats>) {
    register_certificate(stats);
    let counts = Arc::clone(stats);
    let _ = meter()
        .u64_observable_counter("lopside.front.events")
        .with_description("Events of connections and requests before a handler receives them")
        .with_callback(move |events| {
            for (event, count) in counts.snapshot().named_counts() {
                events.observe(count, &[KeyValue::new("event", event)]);
            }
        })
        .build();
    let memory = Arc::clone(stats);
    let _ = meter()
        .u64_observable_gauge("lopside.request.memory")
        .with_unit("By")
        .with_description("Memory that the bodies of requests occupy")
        .with_callback(move |bytes| bytes.observe(memory.snapshot().request_memory, &[]))
        .build();
    let reloads = Arc::clone(stats);
    let _ = meter()
        .u64_observable_counter("lopside.front.reloads")
        .with_description("Reloads of certificates and key files")
        .with_callback(move |counts| {
            let now = reloads.snapshot().reloads;
            for (result, count) in [("done", now.done), ("failed", now.failed)] {
                counts.observe(count, &[KeyValue::new("result", result)]);
            }
        })
        .build();
}

/// Registers the gauge that names the running version, and has the value 1.
pub(crate) fn register_build_info() {
    let labels =
        [KeyValue::new("version", env!("CARGO_PKG_VERSION")), KeyValue::new("arch", std::env::consts::ARCH)];
    let _ = meter()
        .u64_observable_gauge("lopside.build.info")
        .with_description("The version of the program, and the processor that it was built for")
        .with_callback(move |gauge| gauge.observe(1, &labels))
        .build();
}

/// Registers the gauge of the served certificate, which has a value only if there is one.
fn register_certificate(stats: &Arc<FrontStats>) {
    let certificate = stats.subscribe_certificate_end();
    let _ = meter()
        .f64_observable_gauge("lopside.certificate.remaining")
        .with_unit("s")
        .with_description("Time until the served certificate expires; below 0 after that")
        .with_callback(move |gauge| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            if let Some(end) = *certificate.borrow() {
                gauge.observe(end as f64 - now.as_secs_f64(), &[]);
            }
        })
        .build();
}

fn add_channel_queries(channel: &str, result: &'static str, times: u64) {
    let meter = meter();
    let queries = meter.u64_counter("lopside.channel.queries");
    let queries = queries.with_description("Queries of devices for the offer of a channel").build();
    queries.add(times, &[KeyValue::new("channel", channel.to_owned()), KeyValue::new("result", result)]);
}

fn add_downloads(result: &'static str, times: u64, bytes: u64) {
    let (meter, labels) = (meter(), [KeyValue::new("result", result)]);
    let downloads = meter.u64_counter("lopside.downloads").with_description("Downloads of bundles' files");
    downloads.build().add(times, &labels);
    let size = meter.u64_counter("lopside.downloads.size").with_unit("By");
    size.with_description("Bytes sent by downloads that have ended").build().add(bytes, &labels);
}
