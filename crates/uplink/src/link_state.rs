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
    /// The largest image that the cloud decodes, in pixels, as it said when a connection was established last; `None` if it
    /// has not said so.
    pub cloud_max_pixels: Option<u64>,
}

impl LinkState {
    pub(crate) fn set_connected(&mut self) {
        self.connected_at = Some(Instant::now());
        self.connection_count += 1;
        self.last_error = None;
    }

    /// Records the largest image that the cloud decodes, in pixels; 0 if it does not say.
    pub(crate) fn set_cloud_limit(&mut self, max_pixels: u64) {
        self.cloud_max_pixels = Some(max_pixels).filter(|max_pixels| *max_pixels > 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_cloud_is_kept_while_there_is_no_connection() {
        let mut link = LinkState::default();
        link.set_cloud_limit(40_000_000);
        link.set_ended(&UplinkError::StreamEnded);
        assert_eq!(link.cloud_max_pixels, Some(40_000_000));
        link.set_cloud_limit(0);
        assert_eq!(link.cloud_max_pixels, None, "an older server does not say it");
    }
}
