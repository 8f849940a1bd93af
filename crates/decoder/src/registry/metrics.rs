use lopside_telemetry::metrics::{KeyValue, UpDownCounter, meter};

/// Counts a change of a bundle, which was `loaded`, `refused` or `unloaded`.
pub(super) fn count_bundle_change(name: &str, result: &'static str) {
    let meter = meter();
    let changes = meter
        .u64_counter("lopside.bundle.changes")
        .with_description("Bundles that were loaded, refused or unloaded");
    changes.build().add(1, &[KeyValue::new("bundle", name.to_owned()), KeyValue::new("result", result)]);
}

/// The number of bundles and folders that are refused at the moment.
#[derive(Debug)]
pub(super) struct RefusedGauge {
    gauge: UpDownCounter<i64>,
    count: i64,
}

impl RefusedGauge {
    /// Records a change of the number.
    pub(super) fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.gauge.add(count - self.count, &[]);
        self.count = count;
    }
}

impl Default for RefusedGauge {
    fn default() -> Self {
        let gauge = meter()
            .i64_up_down_counter("lopside.bundles.refused")
            .with_unit("{bundle}")
            .with_description("Bundles and folders that cannot be loaded at the moment")
            .build();
        // The series exists from the start.
        gauge.add(0, &[]);
        Self { gauge, count: 0 }
    }
}

impl Drop for RefusedGauge {
    fn drop(&mut self) {
        self.set(0);
    }
}
