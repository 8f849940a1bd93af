use std::path::PathBuf;

use crate::{EdgeError, agent, cli::StatusArgs, config::FileConfig};

const DEFAULT_SOCKET: &str = "/run/lopside/edge.sock";

/// `edge-encoder status`.
pub(super) fn run(args: StatusArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let socket = file.socket(args.socket).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
    let report = agent::ask(&socket)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.text());
    }
    Ok(())
}
