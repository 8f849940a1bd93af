use std::time::Duration;

use tokio::time::Instant;

use crate::UplinkError;

/// The state of the connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkState {
    /// Start of the current connection; `None` while there is none.
    pub connected_at: Option<Instant>,
    /// Number of connections so far.
    pub connection_count: u64,
    /// Reason why the last connection ended or could not be made; `None` while connected and before the first
    /// failure.
    pub last_error: Option<String>,
    /// Time of the last acknowledgement.
    pub last_acknowledged_at: Option<Instant>,
    /// The highest recent acknowledgement rate in bytes per second; 0 before the first acknowledgement.
    pub bytes_per_second: f64,
    /// The shortest recent time between a message and its acknowledgement.
    pub round_trip: Option<Duration>,
}

impl LinkState {
    pub(crate) fn set_connected(&mut self) {
        self.connected_at = Some(Instant::now());
        self.connection_count += 1;
        self.last_error = None;
    }

    pub(crate) fn set_acknowledged(&mut self, rate: f64, round_trip: Option<Duration>) {
        self.last_acknowledged_at = Some(Instant::now());
        (self.bytes_per_second, self.round_trip) = (rate, round_trip);
    }

    pub(crate) fn set_ended(&mut self, error: &UplinkError) {
        self.connected_at = None;
        self.bytes_per_second = 0.0;
        self.last_error = Some(error.to_string());
    }
}
