//! Logs devices that encode with a different latent space than their channel offers: a rollout in progress, or
//! one that is stuck.

use std::fmt;

use lopside_latent::LatentSpaceId;
use quick_cache::sync::Cache;

/// Maximum number of remembered devices. A forgotten device is logged a second time.
const MAX_DEVICES: usize = 16 << 10;

/// The last logged state of each device.
pub(super) struct DeviceLog(Cache<String, LatentSpaceMismatch>);

/// The latent space of a device, if it has one, and the latent space that it is offered.
type LatentSpaceMismatch = (Option<LatentSpaceId>, LatentSpaceId);

impl DeviceLog {
    /// Logs a device whose latent space differs from the offered one, once per combination of the two.
    pub(super) fn log_mismatch(
        &self,
        device: &str,
        channel: &str,
        has: Option<LatentSpaceId>,
        offered: LatentSpaceId,
    ) {
        if self.is_new(device, has, offered) {
            let has = has.map_or_else(|| "none".to_owned(), |space| space.to_string());
            tracing::info!(device, channel, has, %offered, "a device uses a different latent space than its channel offers");
        }
    }

    fn is_new(&self, device: &str, has: Option<LatentSpaceId>, offered: LatentSpaceId) -> bool {
        if has == Some(offered) {
            self.0.remove(device);
            return false;
        }
        let mismatch = (has, offered);
        let is_known = self.0.get(device) == Some(mismatch);
        if !is_known {
            self.0.insert(device.to_owned(), mismatch);
        }
        !is_known
    }
}

impl Default for DeviceLog {
    fn default() -> Self {
        Self(Cache::new(MAX_DEVICES))
    }
}

impl fmt::Debug for DeviceLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DeviceLog").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn space(byte: u8) -> LatentSpaceId {
        LatentSpaceId::new([byte; 8])
    }

    #[test]
    fn a_mismatch_is_new_once_per_combination() {
        let devices = DeviceLog::default();
        let mut is_new = Vec::new();
        for (device, has, offered) in [
            ("a", None, 1),
            ("a", None, 1),
            ("a", Some(1), 1),
            ("a", Some(1), 2),
            ("b", Some(1), 2),
            ("a", Some(1), 2),
            ("a", Some(2), 2),
            ("a", Some(1), 2),
        ] {
            is_new.push(devices.is_new(device, has.map(space), space(offered)));
        }
        assert_eq!(is_new, [true, false, false, true, true, false, false, true]);
    }

    #[test]
    fn the_number_of_remembered_devices_is_limited() {
        let devices = DeviceLog::default();
        for number in 0..3 * MAX_DEVICES {
            devices.is_new(&number.to_string(), None, space(1));
        }
        assert!(devices.0.len() <= MAX_DEVICES, "{devices:?}");
    }
}
