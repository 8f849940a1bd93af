use std::path::{Path, PathBuf};

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::SettingsError;

/// The key `bundle`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct BundleArg {
    /// Folder of the bundle; its encoder part is sufficient
    #[arg(long, env = "LOPSIDE_BUNDLE", value_name = "DIR")]
    pub bundle: Option<PathBuf>,
}

impl BundleArg {
    /// Returns the folder of the bundle.
    ///
    /// # Errors
    /// [`SettingsError::MissingSetting`] if it is not configured.
    pub(crate) fn folder(&self) -> Result<&Path, SettingsError> {
        self.bundle.as_deref().ok_or(SettingsError::MissingSetting {
            what: "the bundle",
            flag: "--bundle DIR",
            env: "LOPSIDE_BUNDLE",
            key: "bundle",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_bundle_is_reported_with_all_names_of_the_setting() {
        let error = BundleArg::default().folder().unwrap_err().to_string();
        for name in ["--bundle", "LOPSIDE_BUNDLE", "bundle ="] {
            assert!(error.contains(name), "{error}");
        }
    }
}
