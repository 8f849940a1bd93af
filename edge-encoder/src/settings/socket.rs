use std::path::PathBuf;

use clap::Args;
use merge::Merge;
use serde::Deserialize;

/// The key `socket`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct SocketArg {
    /// Unix socket on which to answer edge-encoder status [default: none]
    #[arg(long, env = "LOPSIDE_SOCKET", value_name = "SOCKET")]
    pub socket: Option<PathBuf>,
}
