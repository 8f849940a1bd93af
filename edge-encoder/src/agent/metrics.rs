//! Metrics of the sources, which are read with every export.

use std::sync::{Arc, atomic::Ordering};

use lopside_telemetry::metrics::{AsyncInstrument, KeyValue, meter};

use super::{counters::AgentCounters, source_state::SourceState};

/// Registers the instruments.
pub(super) fn register(counters: &Arc<AgentCounters>) {
    register_gauge(
        counters,
        "lopside.source.silent",
        "Whether a source has not delivered an input for longer than its limit: 1 or 0",
        |source| u64::from(source.liveness.exceeded_silence().is_some()),
    );
    register_counter(
        counters,
        "lopside.source.restarts",
        "Starts of a source because it was silent",
        |source| source.liveness.restarts(),
    );
    register_counter(counters, "lopside.source.inputs", "Inputs that a source has delivered", |source| {
        source.counters.input_counts().captured
    });
    register_counter(counters, "lopside.source.frames", "Frames that were encoded from a source", |source| {
        source.counters.encoded.load(Ordering::Relaxed)
    });
}

fn register_gauge(
    counters: &Arc<AgentCounters>,
    name: &'static str,
    description: &'static str,
    value: fn(&SourceState) -> u64,
) {
    let _ = meter()
        .u64_observable_gauge(name)
        .with_description(description)
        .with_callback(observe_sources(counters, value))
        .build();
}

fn register_counter(
    counters: &Arc<AgentCounters>,
    name: &'static str,
    description: &'static str,
    value: fn(&SourceState) -> u64,
) {
    let _ = meter()
        .u64_observable_counter(name)
        .with_description(description)
        .with_callback(observe_sources(counters, value))
        .build();
}

/// Returns a function that reports one value per source.
fn observe_sources(
    counters: &Arc<AgentCounters>,
    value: fn(&SourceState) -> u64,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + use<> {
    let counters = Arc::clone(counters);
    move |instrument| {
        for source in &counters.sources {
            instrument.observe(value(source), &[KeyValue::new("source", source.name.clone())]);
        }
    }
}
