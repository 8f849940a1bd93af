//! `perf_analyzer`, the load generator of Triton's own client: an unmodified client of the protocol, in
//! addition to ours.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use lopside_proto::inference::{
    ModelStatisticsRequest, grpc_inference_service_client::GrpcInferenceServiceClient as Client,
};

use super::{install, process::ProcessTree, round_figures::RoundFigures};
use crate::{
    BenchError,
    error::{ServingError, io_error, request_error},
};

/// Number of measurement windows that must agree.
const MEASUREMENT_WINDOWS: u32 = 3;

/// A run of `perf_analyzer`.
#[derive(Debug)]
pub(crate) struct PerfRun<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) model: &'a str,
    pub(crate) concurrency: usize,
    pub(crate) duration: Duration,
    pub(crate) tree: ProcessTree,
    pub(crate) work_folder: &'a Path,
}

impl PerfRun<'_> {
    /// Runs the load generator. The CPU time is divided by the number of requests that the server's own
    /// statistics count meanwhile, warm-up included.
    pub(crate) async fn measure_round(&self) -> Result<RoundFigures, BenchError> {
        let csv = self.work_folder.join("perf_analyzer.csv");
        let window = self.duration / MEASUREMENT_WINDOWS;
        let mut command = install::perf_analyzer()?;
        command
            .args(["-m", self.model, "-u", &self.address.to_string(), "-i", "grpc", "-b", "1"])
            .args(["--concurrency-range", &self.concurrency.to_string(), "--input-data", "random"])
            // Any windows agree: the tool should not reject a run because of noise.
            .args(["-s", "999", "-p", &window.as_millis().to_string(), "-f"])
            .arg(&csv);
        let (requests_before, cpu) = (self.served_requests().await?, self.tree.cpu());
        let output = command.output().map_err(|error| perf_error(&error.to_string()))?;
        let (requests_after, cpu) = (self.served_requests().await?, self.tree.cpu().saturating_sub(cpu));
        if !output.status.success() {
            let output_text = [output.stderr, output.stdout].concat();
            let (status, output_text) = (output.status, String::from_utf8_lossy(&output_text));
            return Err(perf_error(&format!("the program ended with {status}: {output_text}")).into());
        }
        let text = fs::read_to_string(&csv).map_err(io_error(&csv))?;
        let [per_second, p50, p99] = parse_figures(&text)
            .ok_or_else(|| perf_error(&format!("its CSV report could not be parsed: {text:?}")))?;
        let cpu_ms = cpu.as_secs_f64() * 1e3 / requests_after.saturating_sub(requests_before).max(1) as f64;
        Ok(RoundFigures { cpu_ms, per_second, p50_ms: p50 / 1e3, p99_ms: p99 / 1e3, errors: 0 })
    }

    /// Returns the number of requests that the server has answered so far.
    async fn served_requests(&self) -> Result<u64, BenchError> {
        let mut client = Client::connect(format!("http://{}", self.address)).await.map_err(request_error)?;
        let request = ModelStatisticsRequest { name: self.model.to_owned(), version: String::new() };
        let response =
            client.model_statistics(request).await.map_err(|status| request_error(status.message()))?;
        let models = response.into_inner().model_stats.into_iter();
        Ok(models.filter_map(|model| Some(model.inference_stats?.success?.count)).sum())
    }
}

/// Returns the requests per second and the 50th and 99th percentile in microseconds from CSV with a header
/// and one line; `None` if a column is missing.
fn parse_figures(csv: &str) -> Option<[f64; 3]> {
    let mut lines = csv.lines();
    let (header, line) = (lines.next()?, lines.next()?);
    Some([
        parse_column(header, line, "Inferences/Second")?,
        parse_column(header, line, "p50 latency")?,
        parse_column(header, line, "p99 latency")?,
    ])
}

fn parse_column(header: &str, line: &str, name: &str) -> Option<f64> {
    let column = header.split(',').position(|column| column == name)?;
    line.split(',').nth(column)?.parse().ok()
}

fn perf_error(reason: &str) -> ServingError {
    ServingError::LoadGenerator { tool: "perf_analyzer", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let csv = "Concurrency,Inferences/Second,Client Send,p50 latency,p99 latency\n8,1700.5,3,450,900\n";
        assert_eq!(parse_figures(csv), Some([1700.5, 450.0, 900.0]));
        assert_eq!(parse_figures("Concurrency\n8\n"), None);
    }
}
