//! Rate control: chooses quality and layers by the backlog and the speed of the link.

use std::time::Duration;

use lopside_uplink::{LinkState, StoreSnapshot};

/// A backlog that is sent within this time causes no pressure.
const LOW_BACKLOG: Duration = Duration::from_secs(5);
/// A backlog that takes this long causes full pressure.
const HIGH_BACKLOG: Duration = Duration::from_mins(2);
/// Without a link: the shares of the spool's budget at which the pressure begins and at which it is full.
const SPOOL_FILL_RANGE: [f64; 2] = [0.1, 0.8];

/// Bounds of quality and layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateBounds {
    /// For image codecs: the lowest and the highest quality, 1 to 100.
    pub quality: [u8; 2],
    /// The smallest and the largest number of layers per frame; `None` for all layers.
    pub layers: [Option<u8>; 2],
    /// Budget of the spool, in bytes.
    pub budget_bytes: u64,
}

/// Returns the pressure to save bytes, from 0 for none to 1 for the maximum.
pub(super) fn link_pressure(store: &StoreSnapshot, link: &LinkState, budget: u64) -> f64 {
    let used_bytes = store.used_bytes() as f64;
    let spool_pressure = normalise_to_range(used_bytes / budget as f64, SPOOL_FILL_RANGE);
    if link.connected_at.is_none() || link.bytes_per_second <= 0.0 {
        return spool_pressure;
    }
    let backlog_seconds = used_bytes / link.bytes_per_second;
    spool_pressure
        .max(normalise_to_range(backlog_seconds, [LOW_BACKLOG.as_secs_f64(), HIGH_BACKLOG.as_secs_f64()]))
}

impl RateBounds {
    /// Returns the quality at a pressure.
    pub(super) fn quality(&self, pressure: f64) -> u8 {
        let [min, max] = self.quality.map(f64::from);
        (max - pressure * (max - min)).round() as u8
    }

    /// Returns the number of layers at a pressure, for a model with `layer_count` layers.
    pub(super) fn layers(&self, pressure: f64, layer_count: usize) -> usize {
        let [min, max] =
            self.layers.map(|layers| layers.map_or(layer_count, usize::from).clamp(1, layer_count) as f64);
        (max - pressure * (max - min)).round() as usize
    }
}

/// Scales a value so that the range becomes 0 to 1, and clamps it.
fn normalise_to_range(value: f64, [low, high]: [f64; 2]) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Returns the states of a store with this many bytes, and of a link with this rate.
    pub(in crate::agent) fn state(bytes: u64, rate: f64) -> (StoreSnapshot, LinkState) {
        let classes = Default::default();
        let store = StoreSnapshot {
            classes,
            settled: [0; 3],
            acknowledged: [0; 3],
            spool_name: 1,
            times_renamed: 0,
            torn_logs: 0,
            // Delivered frames cause no pressure.
            size_bytes: bytes + 700_000,
            kept_bytes: 700_000,
            damaged_bytes: 0,
            stray_files: 0,
            failure: None,
        };
        let connected_at = (rate > 0.0).then(Instant::now);
        (store, LinkState { connected_at, bytes_per_second: rate, ..LinkState::default() })
    }

    #[test]
    fn pressure_rises_with_the_backlog_and_with_a_filling_spool() {
        let pressure = |bytes, rate| {
            let (store, link) = state(bytes, rate);
            link_pressure(&store, &link, 1_000_000)
        };
        for (bytes, rate, expected) in [
            (50_000, 10_000.0, 0.0),
            (62_500, 1000.0, 0.5),
            (600_000, 1000.0, 1.0),
            (90_000, 0.0, 0.0),
            (450_000, 0.0, 0.5),
            (900_000, 0.0, 1.0),
        ] {
            let found = pressure(bytes, rate);
            assert!((found - expected).abs() < 1e-9, "{bytes} bytes at {rate}: {found}");
        }
    }

    #[test]
    fn quality_and_layers_stay_between_their_bounds() {
        let bounds = RateBounds { quality: [20, 80], layers: [Some(1), None], budget_bytes: 1 };
        let at = |pressure| (bounds.quality(pressure), bounds.layers(pressure, 4));
        assert_eq!([at(0.0), at(0.5), at(1.0)], [(80, 4), (50, 3), (20, 1)]);
        let fixed = RateBounds { quality: [50, 50], layers: [Some(9), Some(9)], budget_bytes: 1 };
        assert_eq!((fixed.quality(1.0), fixed.layers(1.0, 4)), (50, 4));
    }
}
