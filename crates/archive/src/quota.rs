//! The policy of deletion: which devices lose how much. It is a pure function of what the devices occupy.
//!
//! ```text
//! bytes       limit of the size: the devices above a level lose what is above it, and the others lose nothing
//!   █
//!   █   █
//!  ─█───█───────  level
//!   █   █   ▄
//!   █   █   █   ▂
//! ```
//! The level is as high as the limit permits. A device that occupies at most its share of the limit, which is the limit
//! divided by the number of devices, therefore loses nothing, however much another one sends.

/// What an archive occupies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ArchiveUsage {
    /// Bytes of the archive on disk.
    pub(crate) size_bytes: u64,
    /// The devices that have frames.
    pub(crate) devices: Vec<DeviceUsage>,
}

/// What a device occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceUsage {
    /// The id of the device.
    pub(crate) id: i64,
    pub(crate) frames: u64,
    /// Approximate bytes on disk.
    pub(crate) bytes: u64,
    /// Time of the arrival of its oldest frame, in microseconds since 1970.
    pub(crate) oldest_us: i64,
}

/// What a device may keep. It loses the frames that arrived first, while they arrived before a time, or while the device
/// has more frames or bytes than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eviction {
    /// The id of the device.
    pub(crate) device_id: i64,
    /// In microseconds since 1970.
    pub(crate) arrived_before_us: i64,
    pub(crate) max_frames: u64,
    /// Maximum bytes on disk.
    pub(crate) max_bytes: u64,
}

impl Eviction {
    /// Limits a device, whenever its frames arrived.
    fn with_limits(device: &DeviceUsage, max_frames: u64, max_bytes: u64) -> Self {
        Self { device_id: device.id, arrived_before_us: i64::MIN, max_frames, max_bytes }
    }

    /// Returns whether a device with so many frames and bytes has to lose its oldest frame, which arrived at this time.
    pub(crate) fn is_due(&self, received_us: i64, frames: u64, bytes: u64) -> bool {
        received_us < self.arrived_before_us || frames > self.max_frames || bytes > self.max_bytes
    }
}

impl ArchiveUsage {
    /// Returns the approximate bytes on disk of all devices.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.devices.iter().map(|device| device.bytes).sum()
    }

    /// Plans the deletion of all frames that arrived before a time.
    pub(crate) fn plan_expiry(&self, horizon_us: i64) -> Vec<Eviction> {
        let expired = self.devices.iter().filter(|device| device.oldest_us < horizon_us);
        let plan = expired.map(|device| Eviction {
            arrived_before_us: horizon_us,
            ..Eviction::with_limits(device, u64::MAX, u64::MAX)
        });
        plan.collect()
    }

    /// Plans the deletion of what each device has over its quotas.
    pub(crate) fn plan_quotas(&self, max_frames: Option<u64>, max_bytes: Option<u64>) -> Vec<Eviction> {
        let (max_frames, max_bytes) = (max_frames.unwrap_or(u64::MAX), max_bytes.unwrap_or(u64::MAX));
        let over =
            self.devices.iter().filter(|device| device.frames > max_frames || device.bytes > max_bytes);
        over.map(|device| Eviction::with_limits(device, max_frames, max_bytes)).collect()
    }

    /// Plans the deletion of what the archive has over a size, at the expense of the devices that occupy most of it.
    pub(crate) fn plan_size(&self, max_bytes: u64) -> Vec<Eviction> {
        let excess = self.size_bytes.saturating_sub(max_bytes);
        // The bytes of the devices are estimates, whose sum differs from the size.
        let share = u128::from(excess) * u128::from(self.stored_bytes()) / u128::from(self.size_bytes.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX).max(u64::from(excess > 0));
        let level = find_level(self.devices.iter().map(|device| device.bytes).collect(), share);
        let over = self.devices.iter().filter(|device| device.bytes > level);
        over.map(|device| Eviction::with_limits(device, u64::MAX, level)).collect()
    }
}

/// Returns the highest level for which the parts of these amounts above it are at least `excess` together; 0 if there
/// is none.
fn find_level(mut amounts: Vec<u64>, excess: u64) -> u64 {
    if excess == 0 {
        return amounts.into_iter().max().unwrap_or(0);
    }
    amounts.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = 0_u128;
    for (index, &amount) in amounts.iter().enumerate() {
        sum += u128::from(amount);
        let count = index as u128 + 1;
        let next = amounts.get(index + 1).copied().unwrap_or(0);
        // At the level of the next amount, the parts above it are enough: the level is not lower.
        if sum - count * u128::from(next) >= u128::from(excess) {
            let level = (sum - u128::from(excess)) / count;
            return u64::try_from(level).unwrap_or(u64::MAX);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device(id: i64, bytes: u64) -> DeviceUsage {
        DeviceUsage { id, frames: bytes / 10, bytes, oldest_us: 100 * id }
    }

    fn usage(amounts: &[u64]) -> ArchiveUsage {
        let devices: Vec<DeviceUsage> = (0..).zip(amounts).map(|(id, bytes)| device(id, *bytes)).collect();
        let mut usage = ArchiveUsage { size_bytes: 0, devices };
        usage.size_bytes = usage.stored_bytes();
        usage
    }

    /// Returns what each device has after a plan.
    fn after(usage: &ArchiveUsage, plan: &[Eviction]) -> Vec<u64> {
        let mut amounts: Vec<u64> = usage.devices.iter().map(|device| device.bytes).collect();
        for eviction in plan {
            assert!(amounts[eviction.device_id as usize] > eviction.max_bytes, "{eviction:?}");
            amounts[eviction.device_id as usize] = eviction.max_bytes;
        }
        amounts
    }

    #[test]
    fn the_largest_devices_are_reduced_to_one_level() {
        let usage = usage(&[100, 700, 500, 10]);
        for (max, expected) in [
            (1310, [100, 700, 500, 10]),
            (1309, [100, 699, 500, 10]),
            (1110, [100, 500, 500, 10]),
            (1000, [100, 445, 445, 10]),
            (310, [100, 100, 100, 10]),
            (100, [30, 30, 30, 10]),
            (0, [0, 0, 0, 0]),
        ] {
            assert_eq!(after(&usage, &usage.plan_size(max)), expected, "{max}");
        }
    }

    #[test]
    fn the_share_follows_the_size_on_disk() {
        // The rows occupy twice as much as is estimated.
        let usage = ArchiveUsage { size_bytes: 2000, ..usage(&[600, 400]) };
        assert_eq!(after(&usage, &usage.plan_size(1600)), [400, 400]);
        let usage = ArchiveUsage { size_bytes: 1 << 40, ..usage };
        assert_eq!(after(&usage, &usage.plan_size((1 << 40) - 1)), [599, 400], "at least a byte");
        let empty = ArchiveUsage { size_bytes: 1000, devices: Vec::new() };
        assert_eq!(empty.plan_size(1), []);
    }

    #[test]
    fn quotas_concern_single_devices() {
        let usage = usage(&[100, 700, 500]);
        let planned = |max_frames, max_bytes| {
            let plan = usage.plan_quotas(max_frames, max_bytes);
            plan.into_iter().map(|eviction| eviction.device_id).collect::<Vec<_>>()
        };
        assert_eq!(planned(Some(50), None), [1]);
        assert_eq!(planned(Some(70), Some(499)), [1, 2]);
        assert_eq!(planned(None, Some(99)), [0, 1, 2]);
        assert!(planned(None, None).is_empty());
        let eviction = usage.plan_quotas(Some(60), Some(500))[0];
        assert!(eviction.is_due(0, 61, 0) && eviction.is_due(0, 0, 501) && !eviction.is_due(0, 60, 500));
    }

    #[test]
    fn frames_before_the_horizon_expire() {
        let plan = usage(&[1, 1, 1]).plan_expiry(150);
        assert_eq!(plan.iter().map(|eviction| eviction.device_id).collect::<Vec<_>>(), [0, 1]);
        assert!(plan[0].is_due(149, 1, 1) && !plan[0].is_due(150, u64::MAX, u64::MAX));
    }

    fn amounts() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![0..100_u64, 0..1_000_000_u64, Just(u64::MAX / 64)], 1..20)
    }

    proptest! {
        #[test]
        fn enough_is_deleted_and_hardly_more(amounts in amounts(), max in 0..2_000_000_u64) {
            let usage = usage(&amounts);
            let rest: u64 = after(&usage, &usage.plan_size(max)).iter().sum();
            prop_assert!(rest <= max.min(usage.size_bytes), "{rest}");
            prop_assert!(rest + amounts.len() as u64 > max.min(usage.size_bytes), "{rest}");
        }

        #[test]
        fn no_device_loses_while_another_one_has_more(amounts in amounts(), max in 0..2_000_000_u64) {
            let usage = usage(&amounts);
            let plan = usage.plan_size(max);
            let rest = after(&usage, &plan);
            let largest = rest.iter().copied().max().unwrap_or(0);
            for eviction in &plan {
                prop_assert_eq!(rest[eviction.device_id as usize], largest);
            }
        }

        #[test]
        fn a_flood_takes_nothing_from_devices_within_their_share(
            amounts in amounts(),
            flood in 0..u64::MAX / 64,
            max in 0..2_000_000_u64,
        ) {
            let mut flooded = amounts.clone();
            flooded[0] += flood;
            let usage = usage(&flooded);
            let rest = after(&usage, &usage.plan_size(max));
            let share = max / amounts.len() as u64;
            for (before, after) in flooded.iter().zip(rest).filter(|(before, _)| **before <= share) {
                prop_assert_eq!(*before, after);
            }
        }
    }
}
