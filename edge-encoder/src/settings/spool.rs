use std::{path::PathBuf, time::Duration};

use clap::Args;
use lopside_delivery::Class;
use lopside_spool::{ClassPolicy, DropPolicy};
use merge::Merge;
use serde::Deserialize;

use crate::{SettingsError, agent::SpoolSettings};

const DEFAULT_FOLDER: &str = "spool";
const DEFAULT_MEGABYTES: u64 = 256;
const DEFAULT_COMMIT_MS: u64 = 20;
const DEFAULT_MACHINE_ID_FILE: &str = "/etc/machine-id";
const MEGABYTE: u64 = 1_000_000;
const SECONDS_PER_HOUR: f64 = 3600.0;

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
    #[arg(skip)]
    low: Option<ClassTable>,
    #[arg(skip)]
    normal: Option<ClassTable>,
    #[arg(skip)]
    high: Option<ClassTable>,
}

/// One of the tables `spool.low`, `spool.normal` and `spool.high`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClassTable {
    drop: DropChoice,
    max_age_hours: Option<f64>,
}

/// The frames that are dropped when the spool is full and less important ones cannot make space.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DropChoice {
    #[default]
    Newest,
    Oldest,
}

impl ClassTable {
    /// Returns the policy of a class.
    fn policy(self, class: Class) -> Result<ClassPolicy, SettingsError> {
        let drop_policy = match self.drop {
            DropChoice::Newest => DropPolicy::Newest,
            DropChoice::Oldest => DropPolicy::Oldest,
        };
        let max_age = self.max_age_hours.map(|hours| {
            let age = Duration::try_from_secs_f64(hours * SECONDS_PER_HOUR).ok();
            age.filter(|age| age.as_secs() > 0).ok_or_else(|| {
                SettingsError::Invalid(format!(
                    "max_age_hours = {hours} in [spool.{class}] is invalid: use a number of hours above 0, for example 48, or \
                     omit it for frames without an age limit"
                ))
            })
        });
        Ok(ClassPolicy { drop_policy, max_age: max_age.transpose()? })
    }
}

impl SpoolTable {
    /// Returns the settings of the spool.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for an age limit that is not a positive number.
    pub(crate) fn into_settings(self) -> Result<SpoolSettings, SettingsError> {
        let [low, normal, high] = [self.low, self.normal, self.high].map(Option::unwrap_or_default);
        let policies = [low.policy(Class::Low)?, normal.policy(Class::Normal)?, high.policy(Class::High)?];
        Ok(SpoolSettings {
            policies,
            folder: self.folder.unwrap_or_else(|| DEFAULT_FOLDER.into()),
            budget_bytes: self.megabytes.unwrap_or(DEFAULT_MEGABYTES).saturating_mul(MEGABYTE),
            // By default, the budget is the only limit.
            keep_delivered_bytes: self.keep_delivered_mb.map_or(u64::MAX, |mb| mb.saturating_mul(MEGABYTE)),
            commit_delay: Duration::from_millis(self.commit_ms.unwrap_or(DEFAULT_COMMIT_MS)),
            machine_id_file: self.machine_id_file.unwrap_or_else(|| DEFAULT_MACHINE_ID_FILE.into()),
        })
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
            policies: [ClassPolicy::default(); 3],
            commit_delay: Duration::from_millis(20),
            machine_id_file: "id".into(),
        };
        assert_eq!(flags.into_settings().unwrap(), expected);
        let default = SpoolTable::default().into_settings().unwrap();
        assert_eq!((default.budget_bytes, default.machine_id_file), (256_000_000, "/etc/machine-id".into()));
        assert_eq!(default.keep_delivered_bytes, u64::MAX);
        let none: SpoolTable = toml::from_str("keep_delivered_mb = 0").unwrap();
        assert_eq!(none.into_settings().unwrap().keep_delivered_bytes, 0);
    }

    #[test]
    fn each_class_has_its_policy() {
        let text = "low = { drop = 'oldest', max_age_hours = 0.5 }\n[normal]\nmax_age_hours = 48\n";
        let table: SpoolTable = toml::from_str(text).unwrap();
        let newest = ClassPolicy::default();
        let hours = |hours: f64| Some(Duration::from_secs_f64(3600.0 * hours));
        let expected = [
            ClassPolicy { drop_policy: DropPolicy::Oldest, max_age: hours(0.5) },
            ClassPolicy { max_age: hours(48.0), ..newest },
            newest,
        ];
        assert_eq!(table.into_settings().unwrap().policies, expected);
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused_with_its_key() {
        for hours in ["0", "-1", "nan", "inf", "1e300"] {
            let table: SpoolTable = toml::from_str(&format!("[high]\nmax_age_hours = {hours}")).unwrap();
            let error = table.into_settings().unwrap_err().to_string();
            assert!(error.contains("max_age_hours") && error.contains("[spool.high]"), "{error}");
        }
        let error = toml::from_str::<SpoolTable>("[high]\ndrop = 'all'").unwrap_err().to_string();
        assert!(error.contains("`newest` or `oldest`"), "{error}");
        assert!(toml::from_str::<SpoolTable>("[high]\nage = 1").is_err());
    }
}
