use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use opentelemetry::KeyValue;

use crate::metrics::meter;

/// Registers observable instruments for the resource use of the process. Their names are those of
/// OpenTelemetry, except for the one of file descriptors.
pub(crate) fn observe() {
    let _ = meter()
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("CPU time in seconds, by mode")
        .with_callback(|observer| {
            if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
                for (mode, time) in [("user", usage.user_time()), ("system", usage.system_time())] {
                    let seconds = time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
                    observer.observe(seconds, &[KeyValue::new("cpu.mode", mode)]);
                }
            }
        })
        .build();
    let _ = meter()
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory")
        .with_callback(|observer| {
            if let Some(resident) = resident_bytes() {
                observer.observe(resident, &[]);
            }
        })
        .build();
    let _ = meter()
        // The name of the Prometheus client libraries: in the exposition format only a histogram may end with `_count`, as
        // OpenTelemetry's own name does.
        .u64_observable_gauge("process.open_fds")
        .with_description("Open file descriptors")
        .with_callback(|observer| {
            if let Ok(entries) = fs::read_dir("/proc/self/fd") {
                observer.observe(entries.count() as u64, &[]);
            }
        })
        .build();
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
