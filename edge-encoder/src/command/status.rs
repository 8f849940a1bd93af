use std::{path::PathBuf, time::Duration};

use merge::Merge as _;
use tokio::time::interval;

use super::print;
use crate::{
    EdgeError,
    agent::{self, AgentReport},
    cli::StatusArgs,
    settings::RootTable,
};

const DEFAULT_SOCKET: &str = "/run/lopside/edge.sock";
/// Interval between requests with `--follow`.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Runs `edge-encoder status`.
pub(super) async fn run(mut args: StatusArgs, file: RootTable) -> Result<(), EdgeError> {
    args.socket.merge(file.socket);
    let socket = args.socket.socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
    if !args.follow {
        let report = agent::request_status(&socket)?;
        return if args.json { print::pretty_json(&report) } else { print_text(&report) };
    }
    let (mut ticks, mut last) = (interval(FOLLOW_INTERVAL), None);
    loop {
        ticks.tick().await;
        // An agent that is being restarted will answer soon.
        let Ok(report) = agent::request_status(&socket) else { continue };
        let comparable = report.without_times();
        if last.as_ref() != Some(&comparable) {
            let printed = if args.json { print::json(&report) } else { print_text(&report) };
            printed?;
            last = Some(comparable);
        }
    }
}

fn print_text(report: &AgentReport) -> Result<(), EdgeError> {
    print::lines(&report.to_text())
}
