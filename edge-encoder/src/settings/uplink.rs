use merge::Merge;
use serde::Deserialize;

use super::seconds::positive_duration;
use crate::agent::UplinkTimeouts;

const DEFAULT_PATIENCE_SECONDS: u64 = 30;
const DEFAULT_LONGEST_PAUSE_SECONDS: u64 = 60;

/// The table `uplink`, which has no flags.
#[derive(Debug, Default, Deserialize, Merge)]
#[serde(deny_unknown_fields, default)]
#[merge(strategy = merge::option::overwrite_none)]
pub(crate) struct UplinkTable {
    patience_seconds: Option<u64>,
    longest_pause_seconds: Option<u64>,
}

impl UplinkTable {
    /// Returns the time limits, each at least one second.
    pub(crate) fn timeouts(&self) -> UplinkTimeouts {
        UplinkTimeouts {
            ack_timeout: positive_duration(self.patience_seconds, DEFAULT_PATIENCE_SECONDS),
            max_pause: positive_duration(self.longest_pause_seconds, DEFAULT_LONGEST_PAUSE_SECONDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_limits_are_at_least_a_second() {
        let table: UplinkTable = toml::from_str("patience_seconds = 0").unwrap();
        let timeouts = table.timeouts();
        assert_eq!(
            (timeouts.ack_timeout, timeouts.max_pause),
            (Duration::from_secs(1), Duration::from_mins(1))
        );
    }
}
