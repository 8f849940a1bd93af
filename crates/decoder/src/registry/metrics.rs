use lopside_telemetry::metrics::{KeyValue, meter};

/// Counts a change of a bundle, which was `loaded`, `refused` or `unloaded`.
pub(super) fn count_bundle_change(name: &str, result: &'static str) {
    let meter = meter();
    let changes = meter
        .u64_counter("lopside.bundle.changes")
        .with_description("Bundles that were loaded, refused or unloaded");
    changes.build().add(1, &[KeyValue::new("bundle", name.to_owned()), KeyValue::new("result", result)]);
}
