use std::{path::PathBuf, time::Duration};

use tokio::time::interval;

use crate::{
    EdgeError,
    agent::{self, Report},
    cli::StatusArgs,
    config::FileConfig,
};

const DEFAULT_SOCKET: &str = "/run/lopside/edge.sock";
/// Interval between requests with `--follow`.
const EVERY: Duration = Duration::from_millis(200);

/// Runs `edge-encoder status`.
pub(super) async fn run(args: StatusArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let socket = file.socket(args.socket).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
    if !args.follow {
        let report = agent::ask(&socket)?;
        return say(&report, args.json, serde_json::to_string_pretty(&report)?);
    }
    let (mut ticks, mut last) = (interval(EVERY), None);
    loop {
        ticks.tick().await;
        // An agent that is being restarted will answer soon.
        let Ok(report) = agent::ask(&socket) else { continue };
        let lasting = report.lasting();
        if last.as_ref() != Some(&lasting) {
            say(&report, args.json, serde_json::to_string(&report)?)?;
            last = Some(lasting);
        }
    }
}

fn say(report: &Report, as_json: bool, json: String) -> Result<(), EdgeError> {
    use std::io::Write as _;
    let text = if as_json { json } else { report.text().trim_end().to_owned() };
    // The reader of a pipe may close it.
    writeln!(std::io::stdout(), "{text}").map_err(EdgeError::Stdout)
}
