//! What the devices report of their sources, in memory: the last report of each device, for lists and metrics.
//!
//! A report is current as long as the connection exists over which it came. After that it is kept, in case it explains why
//! the device fell silent, until the memory of all reports is used up; then the oldest ones are forgotten first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lopside_delivery::SourceCondition;
use lopside_telemetry::metrics::{KeyValue, meter};

/// Memory of all reports, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// Bound on the bookkeeping of a device, in bytes.
const DEVICE_BYTES: usize = 512;

/// The last report of each device. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct DeviceReports(Arc<Mutex<ReportTable>>);

/// What a device has reported of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceReport {
    /// Time of arrival, in Unix microseconds.
    pub(crate) received_us: i64,
    pub(crate) sources: Vec<ReportedSource>,
    /// Number of sources of the device that are not in the list.
    pub(crate) omitted: u32,
}

/// A source of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportedSource {
    pub(crate) name: String,
    pub(crate) condition: SourceCondition,
    /// Number of times since the start of the device's agent that it was started again because it was silent.
    pub(crate) restarts: u64,
    /// Time of the last input, in Unix microseconds; `None` before the first one.
    pub(crate) last_input_us: Option<i64>,
    /// The most recent problem; `None` without one.
    pub(crate) problem: Option<String>,
}

/// What has happened to the sources of a device since its previous report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceEvents {
    /// The names of the sources that have fallen silent.
    pub(crate) silent: Vec<String>,
    /// The names of the sources that have ended.
    pub(crate) ended: Vec<String>,
    /// Number of times that sources were started again.
    pub(crate) restarts: u64,
}

/// A connection of a device that reports. The report of the device is no longer current when this is dropped.
#[derive(Debug)]
pub(crate) struct ReportingConnection {
    reports: DeviceReports,
    device: Arc<str>,
    /// The number of the connection among those of the device: newer ones have higher numbers.
    number: u64,
}

#[derive(Debug)]
struct ReportTable {
    max_bytes: usize,
    devices: HashMap<Arc<str>, StoredReport>,
    /// The devices in the order of their last reports.
    order: BTreeMap<u64, Arc<str>>,
    next_position: u64,
    /// Bytes that all reports occupy.
    bytes: usize,
    /// Whether the operator was told that reports are forgotten.
    has_warned: bool,
}

#[derive(Debug)]
struct StoredReport {
    report: Arc<DeviceReport>,
    /// The number of the connection.
    connection: u64,
    /// Whether the connection still exists.
    is_current: bool,
    position: u64,
    bytes: usize,
}

impl DeviceReports {
    /// Creates the table without reports, and registers its gauge.
    pub(crate) fn register() -> Self {
        let reports = Self::with_limit(MAX_BYTES);
        let observed = reports.clone();
        let _ = meter()
            .u64_observable_gauge("lopside.device.sources")
            .with_description("Sources of the connected devices, by condition")
            .with_callback(move |gauge| {
                for (condition, count) in observed.count_conditions() {
                    gauge.observe(count, &[KeyValue::new("condition", condition.name())]);
                }
            })
            .build();
        reports
    }

    fn with_limit(max_bytes: usize) -> Self {
        let table = ReportTable {
            max_bytes,
            devices: HashMap::new(),
            order: BTreeMap::new(),
            next_position: 0,
            bytes: 0,
            has_warned: false,
        };
        Self(Arc::new(Mutex::new(table)))
    }

    /// Returns the last report of a device, and whether the device is still connected to this server.
    pub(crate) fn find(&self, device: &str) -> Option<(Arc<DeviceReport>, bool)> {
        let table = self.lock();
        table.devices.get(device).map(|stored| (Arc::clone(&stored.report), stored.is_current))
    }

    /// Begins a connection of a device, with its number among the connections of the device.
    pub(crate) fn begin_connection(&self, device: &str, number: u64) -> ReportingConnection {
        ReportingConnection { reports: self.clone(), device: device.into(), number }
    }

    /// Returns the number of sources in each condition, of the devices that are connected.
    fn count_conditions(&self) -> [(SourceCondition, u64); SourceCondition::ALL.len()] {
        let table = self.lock();
        let current = table.devices.values().filter(|stored| stored.is_current);
        let mut counts = SourceCondition::ALL.map(|condition| (condition, 0));
        for source in current.flat_map(|stored| &stored.report.sources) {
            for (condition, count) in &mut counts {
                *count += u64::from(source.condition == *condition);
            }
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, ReportTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReportingConnection {
    /// Replaces the report of the device, and returns what has happened since the previous one. Nothing changes if a newer
    /// connection has reported.
    pub(crate) fn store(&self, report: DeviceReport) -> SourceEvents {
        self.reports.lock().store(&self.device, self.number, report)
    }
}

impl Drop for ReportingConnection {
    fn drop(&mut self) {
        let mut table = self.reports.lock();
        let stored = table.devices.get_mut(&self.device);
        if let Some(stored) = stored.filter(|stored| stored.connection == self.number) {
            stored.is_current = false;
        }
    }
}

impl ReportTable {
    fn store(&mut self, device: &Arc<str>, connection: u64, report: DeviceReport) -> SourceEvents {
        let has_newer = |stored: &StoredReport| stored.is_current && stored.connection > connection;
        if self.devices.get(device).is_some_and(has_newer) {
            return SourceEvents::default();
        }
        let previous = self.remove(device);
        let events = report.events_since(previous.as_deref());
        let (position, bytes) = (self.next_position, DEVICE_BYTES + 2 * device.len() + report.size_bytes());
        self.next_position += 1;
        self.bytes += bytes;
        self.order.insert(position, Arc::clone(device));
        let stored = StoredReport { report: Arc::new(report), connection, is_current: true, position, bytes };
        self.devices.insert(Arc::clone(device), stored);
        self.forget_oldest();
        events
    }

    fn remove(&mut self, device: &str) -> Option<Arc<DeviceReport>> {
        let stored = self.devices.remove(device)?;
        self.order.remove(&stored.position);
        self.bytes -= stored.bytes;
        Some(stored.report)
    }

    /// Removes the oldest reports until the others fit in the memory.
    fn forget_oldest(&mut self) {
        while self.bytes > self.max_bytes
            && let Some(device) = self.order.values().next().cloned()
        {
            let _ = self.remove(&device);
            if !self.has_warned {
                self.has_warned = true;
                tracing::warn!(
                    devices = self.devices.len(),
                    "more devices report their sources than fit in the memory for reports; the oldest reports are forgotten"
                );
            }
        }
    }
}

impl DeviceReport {
    fn size_bytes(&self) -> usize {
        let texts =
            |source: &ReportedSource| source.name.len() + source.problem.as_ref().map_or(0, String::len);
        self.sources.iter().map(|source| size_of::<ReportedSource>() + texts(source)).sum()
    }

    /// Returns what has happened since the previous report of the device; `None` is no report to this server yet.
    fn events_since(&self, previous: Option<&Self>) -> SourceEvents {
        let mut events = SourceEvents::default();
        for source in &self.sources {
            let before =
                previous.and_then(|report| report.sources.iter().find(|old| old.name == source.name));
            if before.map(|before| before.condition) != Some(source.condition) {
                match source.condition {
                    SourceCondition::Silent => events.silent.push(source.name.clone()),
                    SourceCondition::Ended => events.ended.push(source.name.clone()),
                    SourceCondition::Unknown | SourceCondition::Working => {}
                }
            }
            // A lower count is one since another start of the agent. The restarts before the first report are old.
            let restarts = before
                .map_or(0, |before| source.restarts.checked_sub(before.restarts).unwrap_or(source.restarts));
            // A device may claim any number.
            events.restarts = events.restarts.saturating_add(restarts).min(u64::from(u32::MAX));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, condition: SourceCondition, restarts: u64) -> ReportedSource {
        ReportedSource { name: name.into(), condition, restarts, last_input_us: None, problem: None }
    }

    fn report(received_us: i64, sources: Vec<ReportedSource>) -> DeviceReport {
        DeviceReport { received_us, sources, omitted: 0 }
    }

    #[test]
    fn a_report_is_current_until_its_connection_ends() {
        let reports = DeviceReports::with_limit(MAX_BYTES);
        assert_eq!(reports.find("gate"), None);
        let connection = reports.begin_connection("gate", 1);
        let sent = report(5, vec![source("camera", SourceCondition::Silent, 0)]);
        connection.store(sent.clone());
        let counts = || reports.count_conditions().map(|(_, count)| count);
        assert_eq!(reports.find("gate"), Some((Arc::new(sent.clone()), true)));
        assert_eq!(counts(), [0, 0, 1, 0]);
        drop(connection);
        assert_eq!(reports.find("gate"), Some((Arc::new(sent), false)));
        assert_eq!(counts(), [0; 4]);
    }

    #[test]
    fn an_older_connection_changes_nothing() {
        let reports = DeviceReports::with_limit(MAX_BYTES);
        let (older, newer) = (reports.begin_connection("gate", 1), reports.begin_connection("gate", 2));
        older.store(report(1, Vec::new()));
        newer.store(report(2, Vec::new()));
        older.store(report(3, Vec::new()));
        drop(older);
        let (found, is_current) = reports.find("gate").unwrap();
        assert_eq!((found.received_us, is_current), (2, true));
    }

    #[test]
    fn each_event_is_reported_once() {
        let reports = DeviceReports::with_limit(MAX_BYTES);
        let connection = reports.begin_connection("gate", 1);
        let store = |condition, restarts| {
            let sources =
                vec![source("camera", condition, restarts), source("door", SourceCondition::Ended, 0)];
            let SourceEvents { silent, ended, restarts } = connection.store(report(1, sources));
            (silent.join(" "), ended.join(" "), restarts)
        };
        let names = |silent: &str, ended: &str, restarts| (silent.to_owned(), ended.to_owned(), restarts);
        assert_eq!(store(SourceCondition::Silent, 7), names("camera", "door", 0), "it was restarted before");
        assert_eq!(store(SourceCondition::Silent, 9), names("", "", 2));
        assert_eq!(store(SourceCondition::Working, 9), names("", "", 0));
        assert_eq!(store(SourceCondition::Silent, 1), names("camera", "", 1), "the agent was started again");
        assert_eq!(store(SourceCondition::Silent, u64::MAX), names("", "", u64::from(u32::MAX)));
    }

    #[test]
    fn the_oldest_reports_are_forgotten_when_the_memory_is_used_up() {
        let reports = DeviceReports::with_limit(100 * DEVICE_BYTES);
        let connections: Vec<_> =
            (0..1000).map(|number| reports.begin_connection(&format!("device-{number}"), 1)).collect();
        for connection in &connections {
            connection.store(report(1, vec![source("camera", SourceCondition::Working, 0)]));
        }
        let table = reports.lock();
        assert!(table.bytes <= table.max_bytes && table.devices.len() > 50, "{} bytes", table.bytes);
        assert_eq!(table.devices.len(), table.order.len());
        assert!(table.devices.contains_key("device-999") && !table.devices.contains_key("device-0"));
        drop(table);
        drop(connections);
        assert_eq!(reports.count_conditions().map(|(_, count)| count), [0; 4]);
    }

    #[test]
    fn a_report_that_replaces_another_takes_its_memory() {
        let reports = DeviceReports::with_limit(MAX_BYTES);
        let connection = reports.begin_connection("gate", 1);
        let sources = |count: usize| {
            (0..count).map(|_| source("camera", SourceCondition::Working, 0)).collect::<Vec<_>>()
        };
        connection.store(report(1, sources(3)));
        let bytes = reports.lock().bytes;
        connection.store(report(2, sources(50)));
        connection.store(report(3, sources(3)));
        let table = reports.lock();
        assert_eq!((table.bytes, table.order.len()), (bytes, 1));
    }
}
