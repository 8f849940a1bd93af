//! How finely is encoded, by how the link keeps up.

use std::time::Duration;

use lopside_uplink::{Link, Snapshot};

/// A backlog that is sent within this time is none.
const SHORT: Duration = Duration::from_secs(5);
/// A backlog that takes this long calls for the fewest bytes.
const LONG: Duration = Duration::from_mins(2);
/// Without a link: the share of the spool's budget from which on bytes are saved, and from which on as many as possible.
const FILLED: [f64; 2] = [0.1, 0.8];

/// Between what quality and layers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of photo models: the coarsest and the finest quality, 1 to 100.
    pub quality: [u8; 2],
    /// The fewest and the most layers of a frame; `None` for all there are.
    pub layers: [Option<u8>; 2],
    /// Bytes that the spool may have.
    pub budget: u64,
}

/// How much has to be saved, from 0 for nothing to 1 for as much as possible.
pub(super) fn pressure(store: &Snapshot, link: &Link, budget: u64) -> f64 {
    let between = |value: f64, [low, high]: [f64; 2]| ((value - low) / (high - low)).clamp(0.0, 1.0);
    let filled = between(store.bytes as f64 / budget as f64, FILLED);
    if link.connected.is_none() || link.rate <= 0.0 {
        return filled;
    }
    let behind = store.bytes as f64 / link.rate;
    filled.max(between(behind, [SHORT.as_secs_f64(), LONG.as_secs_f64()]))
}

impl Bounds {
    /// The quality at a pressure.
    pub(super) fn quality(&self, pressure: f64) -> u8 {
        let [coarse, fine] = self.quality.map(f64::from);
        (fine - pressure * (fine - coarse)).round() as u8
    }

    /// The layers at a pressure, of a model that has so many.
    pub(super) fn layers(&self, pressure: f64, all: usize) -> usize {
        let [few, many] = self.layers.map(|layers| layers.map_or(all, usize::from).clamp(1, all) as f64);
        (many - pressure * (many - few)).round() as usize
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn state(bytes: u64, rate: f64) -> (Snapshot, Link) {
        let classes = Default::default();
        let store = Snapshot { classes, settled: [0; 3], spool: 1, torn: 0, bytes, aside: 0, failure: None };
        let connected = (rate > 0.0).then(Instant::now);
        (store, Link { connected, rate, ..Link::default() })
    }

    #[test]
    fn bytes_are_saved_when_the_link_is_behind_or_the_disk_fills() {
        let pressed = |bytes, rate| {
            let (store, link) = state(bytes, rate);
            pressure(&store, &link, 1_000_000)
        };
        for (bytes, rate, expected) in [
            (50_000, 10_000.0, 0.0),
            (62_500, 1000.0, 0.5),
            (600_000, 1000.0, 1.0),
            (90_000, 0.0, 0.0),
            (450_000, 0.0, 0.5),
            (900_000, 0.0, 1.0),
        ] {
            let found = pressed(bytes, rate);
            assert!((found - expected).abs() < 1e-9, "{bytes} bytes at {rate}: {found}");
        }
    }

    #[test]
    fn quality_and_layers_stay_between_their_bounds() {
        let bounds = Bounds { quality: [20, 80], layers: [Some(1), None], budget: 1 };
        let at = |pressure| (bounds.quality(pressure), bounds.layers(pressure, 4));
        assert_eq!([at(0.0), at(0.5), at(1.0)], [(80, 4), (50, 3), (20, 1)]);
        let fixed = Bounds { quality: [50, 50], layers: [Some(9), Some(9)], budget: 1 };
        assert_eq!((fixed.quality(1.0), fixed.layers(1.0, 4)), (50, 4));
    }
}
