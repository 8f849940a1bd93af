//! `h2load`, of nghttp2: a client that uses little CPU time, so that the measured rate depends less on the
//! client.
//!
//! It sends the same bytes as the bench's client, but checks neither the gRPC status nor the body. A refusal
//! does not have a body, so the total number of bytes received shows whether there were refusals.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{fleet::RunningServer, load::INFER_PATH, round_figures::RoundFigures};
use crate::{
    BenchError,
    error::{ServingError, io_error},
};

/// Concurrent requests per connection, the same number as in the bench's own client.
const REQUESTS_PER_CONNECTION: usize = 8;

/// The figures that `h2load` reports for a round.
#[derive(Debug, PartialEq)]
struct H2loadFigures {
    per_second: f64,
    answered: u64,
    failed: u64,
    /// Bytes of response bodies.
    bytes: u64,
}

/// Measures one round, after a short round that is not counted.
pub(crate) fn measure_round(
    server: &RunningServer,
    concurrency: usize,
    duration: Duration,
    work_folder: &Path,
) -> Result<RoundFigures, BenchError> {
    let round = H2loadRound {
        server,
        concurrency,
        body: work_folder.join("request.bin"),
        log: work_folder.join("h2load.log"),
    };
    fs::write(&round.body, server.target.body()).map_err(io_error(&round.body))?;
    round.run_h2load(Duration::from_secs(1))?;
    let cpu_before = server.tree().cpu();
    let figures = round.run_h2load(duration)?;
    let cpu = server.tree().cpu().saturating_sub(cpu_before);
    if figures.bytes < figures.answered * server.target.output_bytes() as u64 {
        return Err(h2load_error(&format!(
            "{} refused requests: some responses do not contain an output: {figures:?}",
            server.peer.name
        ))
        .into());
    }
    let log = fs::read_to_string(&round.log).map_err(io_error(&round.log))?;
    let mut latencies: Vec<f64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(RoundFigures {
        cpu_ms: cpu.as_secs_f64() * 1e3 / figures.answered.max(1) as f64,
        per_second: figures.per_second,
        p50_ms: quantile_ms(&latencies, 0.5),
        p99_ms: quantile_ms(&latencies, 0.99),
        errors: figures.failed,
    })
}

/// Returns a quantile of sorted times in microseconds, in milliseconds; 0 if there are none.
fn quantile_ms(latencies: &[f64], fraction: f64) -> f64 {
    latencies.get((latencies.len() as f64 * fraction) as usize).map_or(0.0, |us| us / 1e3)
}

struct H2loadRound<'a> {
    server: &'a RunningServer,
    concurrency: usize,
    body: PathBuf,
    log: PathBuf,
}

impl H2loadRound<'_> {
    fn run_h2load(&self, duration: Duration) -> Result<H2loadFigures, ServingError> {
        let connections = self.concurrency.div_ceil(REQUESTS_PER_CONNECTION);
        // `h2load` would append to an existing log.
        let _ = fs::remove_file(&self.log);
        let mut command = Command::new("h2load");
        command.args(["-D", &duration.as_secs().max(1).to_string(), "-c", &connections.to_string()]);
        command.args(["-m", &self.concurrency.div_ceil(connections).to_string(), "-d"]).arg(&self.body);
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
        command.arg(format!("--log-file={}", self.log.display()));
        let output = command.arg(format!("http://{}{INFER_PATH}", self.server.address())).output();
        let output = output.map_err(|error| {
            h2load_error(&format!(
                "the program could not be started: {error}; install it with `apt-get install nghttp2-client`"
            ))
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse_figures(&text).ok_or_else(|| {
            h2load_error(&format!(
                "the program ended with {}, and its output could not be parsed: {text:?}",
                output.status
            ))
        })
    }
}

/// Parses the output of `h2load`.
fn parse_figures(text: &str) -> Option<H2loadFigures> {
    let data = find_line(text, "traffic: ")?.split(", ").find(|part| part.ends_with(" data"))?;
    let bytes = data.split_once('(')?.1.split_once(')')?.0.parse().ok()?;
    let codes = find_line(text, "status codes: ")?;
    Some(H2loadFigures {
        per_second: number_before(find_line(text, "finished in ")?, " req/s")?,
        answered: number_before(codes, " 2xx")? as u64,
        failed: number_before(find_line(text, "requests: ")?, " failed")? as u64,
        bytes,
    })
}

/// Returns the rest of the first line that begins with `start`.
fn find_line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start))
}

/// Returns the number before a word in a list that is separated by commas.
fn number_before(line: &str, word: &str) -> Option<f64> {
    let part = line.split(", ").find_map(|part| part.strip_suffix(word))?;
    part.rsplit(' ').next()?.parse().ok()
}

fn h2load_error(reason: &str) -> ServingError {
    ServingError::LoadGenerator { tool: "h2load", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_parsed_from_the_report() {
        let text = "finished in 3.00s, 9876.50 req/s, 1.20MB/s\n\
                    requests: 29630 total, 29638 started, 29630 done, 29629 succeeded, 1 failed, 0 errored, 0 timeout\n\
                    status codes: 29629 2xx, 0 3xx, 1 4xx, 0 5xx\n\
                    traffic: 3.4MB (3400000) total, 0.2MB (200000) headers (space savings 90.00%), 3.1MB (3100000) data\n";
        let expected = H2loadFigures { per_second: 9876.5, answered: 29629, failed: 1, bytes: 3_100_000 };
        assert_eq!(parse_figures(text), Some(expected));
        assert_eq!(parse_figures("h2load: no connection"), None);
    }
}
