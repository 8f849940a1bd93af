use std::{path::PathBuf, time::Duration};

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::agent::SpoolSettings;

const DEFAULT_FOLDER: &str = "spool";
const DEFAULT_MEGABYTES: u64 = 256;
const DEFAULT_COMMIT_MS: u64 = 20;
const DEFAULT_MACHINE_ID_FILE: &str = "/etc/machine-id";
const MEGABYTE: u64 = 1_000_000;

/// The table `spool`.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[serde(deny_unknown_fields, default)]
#[merge(strategy = merge::option::overwrite_none)]
pub(crate) struct SpoolTable {
    /// Folder of the spool [default: spool]
    #[arg(id = "spool", long = "spool", env = "LOPSIDE_SPOOL", value_name = "DIR")]
    folder: Option<PathBuf>,
    #[arg(skip)]
    megabytes: Option<u64>,
    #[arg(skip)]
    keep_delivered_mb: Option<u64>,
    #[arg(skip)]
    commit_ms: Option<u64>,
    #[arg(skip)]
    machine_id_file: Option<PathBuf>,
}

impl SpoolTable {
    /// Returns the settings of the spool.
    pub(crate) fn into_settings(self) -> SpoolSettings {
        SpoolSettings {
            folder: self.folder.unwrap_or_else(|| DEFAULT_FOLDER.into()),
            budget_bytes: self.megabytes.unwrap_or(DEFAULT_MEGABYTES).saturating_mul(MEGABYTE),
            // By default, the budget is the only limit.
            keep_delivered_bytes: self.keep_delivered_mb.map_or(u64::MAX, |mb| mb.saturating_mul(MEGABYTE)),
            commit_delay: Duration::from_millis(self.commit_ms.unwrap_or(DEFAULT_COMMIT_MS)),
            machine_id_file: self.machine_id_file.unwrap_or_else(|| DEFAULT_MACHINE_ID_FILE.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_and_other_keys_come_from_the_file_or_the_defaults() {
        let mut flags = SpoolTable { folder: Some("flag".into()), ..SpoolTable::default() };
        let file = "folder = 'file'\nmegabytes = 3\nkeep_delivered_mb = 2\nmachine_id_file = 'id'";
        flags.merge(toml::from_str(file).unwrap());
        let expected = SpoolSettings {
            folder: "flag".into(),
            budget_bytes: 3_000_000,
            keep_delivered_bytes: 2_000_000,
            commit_delay: Duration::from_millis(20),
            machine_id_file: "id".into(),
        };
        assert_eq!(flags.into_settings(), expected);
        let default = SpoolTable::default().into_settings();
        assert_eq!((default.budget_bytes, default.machine_id_file), (256_000_000, "/etc/machine-id".into()));
        assert_eq!(default.keep_delivered_bytes, u64::MAX);
        let none: SpoolTable = toml::from_str("keep_delivered_mb = 0").unwrap();
        assert_eq!(none.into_settings().keep_delivered_bytes, 0);
    }
}
