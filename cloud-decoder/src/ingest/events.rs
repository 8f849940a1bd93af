//! Counters of what goes wrong with devices, for alerts.

use lopside_telemetry::metrics::{KeyValue, meter};

/// An event that an operator should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IngestEvent {
    /// A newer connection of a device has displaced an older one.
    Displaced,
    /// A message was refused because a frame in it is archived with other contents.
    Conflict,
    /// A connection continued an epoch of its spool next to a newer one.
    Alternation,
    /// Numbers that were acknowledged turned out to be unknown to the archive.
    Loss,
    /// A source of a device has fallen silent.
    SourceSilent,
    /// A source of a device has ended.
    SourceEnded,
    /// A device has started a source again because it was silent.
    SourceRestarted,
}

impl IngestEvent {
    const ALL: [Self; 7] = [
        Self::Displaced,
        Self::Conflict,
        Self::Alternation,
        Self::Loss,
        Self::SourceSilent,
        Self::SourceEnded,
        Self::SourceRestarted,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::Conflict => "conflict",
            Self::Alternation => "alternation",
            Self::Loss => "loss",
            Self::SourceSilent => "source_silent",
            Self::SourceEnded => "source_ended",
            Self::SourceRestarted => "source_restarted",
        }
    }
}

/// Creates the counters with the value 0, so that they are visible before the first event.
pub(super) fn init_counters() {
    for event in IngestEvent::ALL {
        count_events(event, 0);
    }
}

/// Counts an event a number of times.
pub(super) fn count_events(event: IngestEvent, times: u64) {
    let meter = meter();
    let counter = meter.u64_counter("lopside.ingest.events");
    let counter = counter.with_description("Events of devices that upload frames").build();
    counter.add(times, &[KeyValue::new("event", event.label())]);
}
