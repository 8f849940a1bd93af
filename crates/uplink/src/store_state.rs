use std::time::Duration;

use lopside_delivery::Class;
use lopside_spool::{ClassPolicy, Counters, DeviceName, MachineId, Spool, Storage};

/// Settings of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// Total size of the spool's files, in bytes.
    pub budget_bytes: u64,
    /// Upper bound on the bytes of delivered records that the spool keeps while it has space, in case the cloud
    /// loses them.
    pub keep_delivered_bytes: u64,
    /// The drop policy and the age limit per class, in the order of [`Class::ALL`].
    pub policies: [ClassPolicy; Class::ALL.len()],
    /// Time that a record waits for others to be committed with.
    pub commit_delay: Duration,
    /// The machine of this process; `None` if it is unknown. A spool of another machine takes a new name.
    pub machine: Option<MachineId>,
    /// The device of this process; `None` if it is unknown. The spool of a device with another name takes a new name.
    pub device: Option<DeviceName>,
}

impl StoreSettings {
    /// Returns the shortest age limit of a class; `None` without any.
    pub(crate) fn shortest_max_age(&self) -> Option<Duration> {
        self.policies.iter().filter_map(|policy| policy.max_age).min()
    }
}

/// The state of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSnapshot {
    /// Counters and number of pending records per class, in the order of [`Class::ALL`].
    pub classes: [(Counters, u64); Class::ALL.len()],
    /// The number per class, in the order of [`Class::ALL`], up to which all records are settled on the disk.
    pub settled: [u64; Class::ALL.len()],
    /// The highest number per class, in the order of [`Class::ALL`], that the cloud has acknowledged, as far as the
    /// disk knows.
    pub acknowledged: [u64; Class::ALL.len()],
    /// The name of the spool; a different one if another spool was put into its folder, or if the spool was set
    /// back to an earlier state.
    pub spool_name: u32,
    /// Number of times that the spool took a new name, because it was copied or set back.
    pub times_renamed: u64,
    /// Number of log ends that were torn by crashes.
    pub torn_logs: u64,
    /// Size of all files, in bytes.
    pub size_bytes: u64,
    /// Bytes of the files whose records are all delivered, included in `size_bytes`.
    pub kept_bytes: u64,
    /// Bytes of damaged data that are kept for inspection, included in `size_bytes`.
    pub damaged_bytes: u64,
    /// Number of files in the folder that had the name of a segment and did not belong to the spool.
    pub stray_files: usize,
    /// The reason why the disk currently accepts no writes; `None` if it does.
    pub failure: Option<String>,
}

impl StoreSnapshot {
    /// Returns the state of a spool that works.
    pub(crate) fn of_spool<S: Storage>(spool: &Spool<S>) -> Self {
        Self {
            classes: Class::ALL.map(|class| (spool.class_counters(class), spool.pending_records(class))),
            settled: Class::ALL.map(|class| spool.settled_on_disk(class)),
            acknowledged: Class::ALL.map(|class| spool.acknowledged_on_disk(class)),
            spool_name: spool.name(),
            times_renamed: spool.times_renamed(),
            torn_logs: spool.torn_ends(),
            size_bytes: spool.bytes(),
            kept_bytes: spool.kept_bytes(),
            damaged_bytes: spool.damage_bytes(),
            stray_files: spool.stray_files(),
            failure: None,
        }
    }

    /// Returns the bytes of the files that are in use: those of delivered records can be removed at any time.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.size_bytes - self.kept_bytes
    }
}
