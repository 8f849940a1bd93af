use lopside_telemetry::printable::PrintableLines;
use lopside_uplink::LinkState;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The connection to the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UplinkReport {
    /// Address of the cloud-decoder.
    pub endpoint: String,
    /// Whether the agent is connected.
    pub connected: bool,
    /// Seconds since the connection was established; `null` while disconnected.
    pub connected_seconds: Option<f64>,
    /// Number of connections since the start.
    pub connections: u64,
    /// Reason why the last connection ended or could not be made; `null` while connected and before the first
    /// failure.
    pub last_error: Option<String>,
    /// Seconds since the last acknowledgement; `null` before the first one.
    pub acknowledged_seconds: Option<f64>,
    /// The highest recent acknowledgement rate, in bytes per second; 0 while disconnected.
    pub bytes_per_second: f64,
    /// The shortest recent time between a message and its acknowledgement, in milliseconds; `null` before the
    /// first one.
    pub round_trip_ms: Option<f64>,
    /// The largest image that the cloud decodes, in pixels; `null` if it has not said so since the start.
    #[serde(default)]
    pub cloud_max_pixels: Option<u64>,
}

impl UplinkReport {
    pub(super) fn new(endpoint: &str, link: &LinkState) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            connected: link.connected_at.is_some(),
            connected_seconds: link.connected_at.map(seconds_since),
            connections: link.connection_count,
            last_error: link.last_error.clone(),
            acknowledged_seconds: link.last_acknowledged_at.map(seconds_since),
            bytes_per_second: link.bytes_per_second,
            round_trip_ms: link.round_trip.map(|round_trip| 1e3 * round_trip.as_secs_f64()),
            cloud_max_pixels: link.cloud_max_pixels,
        }
    }

    /// Returns a copy without the values that change with time alone.
    pub(super) fn without_times(&self) -> Self {
        Self {
            connected_seconds: None,
            acknowledged_seconds: None,
            bytes_per_second: 0.0,
            round_trip_ms: None,
            ..self.clone()
        }
    }

    pub(super) fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let endpoint = &self.endpoint;
        match (self.connected_seconds, &self.last_error) {
            (Some(seconds), _) => writeln!(out, "uplink: connected to {endpoint} for {seconds:.0} s"),
            (None, Some(error)) => writeln!(out, "uplink: not connected to {endpoint}: {error}"),
            (None, None) => writeln!(out, "uplink: connecting to {endpoint}"),
        }
    }
}

fn seconds_since(at: Instant) -> f64 {
    at.elapsed().as_secs_f64()
}
