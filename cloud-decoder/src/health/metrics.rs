use lopside_telemetry::metrics::{KeyValue, meter};

use super::state::HealthState;

/// Registers the gauges of the components, which are read with every export.
pub(crate) fn register_health_metrics(health: &HealthState) {
    let faults = health.subscribe_faults();
    let _ = meter()
        .u64_observable_gauge("lopside.component.up")
        .with_description("Whether a component works: 1 or 0")
        .with_callback(move |gauge| {
            for (component, works) in faults.borrow().components() {
                gauge.observe(u64::from(works), &[KeyValue::new("component", component.name())]);
            }
        })
        .build();
}
