use std::{path::PathBuf, time::Duration};

use merge::Merge as _;
use tokio::time::interval;

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
        return print_report(&report, args.json, serde_json::to_string_pretty(&report)?);
    }
    let (mut ticks, mut last) = (interval(FOLLOW_INTERVAL), None);
    loop {
        ticks.tick().await;
        // An agent that is being restarted will answer soon.
        let Ok(report) = agent::request_status(&socket) else { continue };
        let comparable = report.without_times();
        if last.as_ref() != Some(&comparable) {
            print_report(&report, args.json, serde_json::to_string(&report)?)?;
            last = Some(comparable);
        }
    }
}

fn print_report(report: &AgentReport, as_json: bool, json: String) -> Result<(), EdgeError> {
    use std::io::Write as _;
    let text = if as_json { json } else { report.to_text().trim_end().to_owned() };
    // The reader of a pipe may close it.
    writeln!(std::io::stdout(), "{text}").map_err(EdgeError::Stdout)
}
