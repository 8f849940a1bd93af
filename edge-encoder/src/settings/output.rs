use std::path::PathBuf;

use clap::Args;
use merge::Merge;
use serde::Deserialize;

const DEFAULT_FOLDER: &str = "out";

/// The key `out`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct OutArg {
    /// Folder for the results [default: out]
    #[arg(long, env = "LOPSIDE_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl OutArg {
    /// Returns the folder for the results.
    pub(crate) fn into_folder(self) -> PathBuf {
        self.out.unwrap_or_else(|| DEFAULT_FOLDER.into())
    }
}
