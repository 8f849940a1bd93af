//! The behaviour of a server near its limit, beyond it, and over a long time: p99 at 70 % of its peak and of
//! the lowest peak of all, goodput at five times the peak, and memory over many requests.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde::Serialize;

use super::{
    ServingContext,
    fleet::RunningServer,
    load::{OpenLoop, OutcomeTally, StopCondition, run_closed, run_open},
    models::Model,
    process::ProcessTree,
    speed::measure_own_client,
};
use crate::{
    BenchError,
    median::{median, median_of},
};

/// Number of workers that determine the peak.
const PEAK_CONCURRENCY: usize = 64;
/// Number of workers of the soak test.
const SOAK_CONCURRENCY: usize = 16;
/// The fraction of the peak at which a well-sized server runs.
const LOAD_FRACTION: f64 = 0.7;
/// Load as a multiple of the peak, as when all clients retry.
const OVERLOAD_FACTOR: f64 = 5.0;
/// Duration of the overload measurement, in rounds.
const OVERLOAD_ROUNDS: u32 = 4;
/// Interval between two samples of the memory.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

/// The rate of an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoadLevel {
    /// 70 % of the server's own peak
    OwnPeak,
    /// 70 % of the lowest peak: the same rate for every server
    LowestPeak,
    /// Five times the server's own peak
    Overload,
}

impl LoadLevel {
    /// Returns the name of the rate.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OwnPeak => "70 % of its own peak",
            Self::LowestPeak => "70 % of the lowest peak",
            Self::Overload => "5 × its peak",
        }
    }
}

/// The figures of an open loop at a given rate.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadFigures {
    pub(crate) server: String,
    pub(crate) model: &'static str,
    pub(crate) load: LoadLevel,
    /// Requests per second in closed loops.
    pub(crate) peak: f64,
    /// Requests per second that were sent.
    pub(crate) rate: f64,
    /// Requests per second that were answered within the deadline.
    pub(crate) goodput: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// The 99th percentile of the client's delay, which is part of the latency.
    pub(crate) client_p99_ms: f64,
    pub(crate) rejected: u64,
    pub(crate) late: u64,
    pub(crate) failed: u64,
    /// Median resident memory in the last quarter of the time, relative to the second quarter.
    pub(crate) memory_growth: f64,
}

impl LoadFigures {
    /// Returns whether the client's delay is more than half of the p99, so that the figure does not describe
    /// the server.
    pub(crate) fn is_client_bound(&self) -> bool {
        2.0 * self.client_p99_ms > self.p99_ms
    }
}

/// The figures of a soak test.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SoakFigures {
    pub(crate) server: String,
    pub(crate) model: &'static str,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) per_second: f64,
    /// Median resident memory in the last quarter of the time, relative to the second quarter.
    pub(crate) memory_growth: f64,
}

/// Measures at 70 % of each server's own peak, and at 70 % of the lowest peak; in turns, round after round.
pub(crate) fn measure_tails(
    servers: &[&RunningServer],
    model: Model,
    context: &ServingContext<'_>,
) -> Result<Vec<LoadFigures>, BenchError> {
    let peaks = servers.iter().map(|server| measure_peak(server, context)).collect::<Result<Vec<_>, _>>()?;
    let lowest = peaks.iter().copied().fold(f64::INFINITY, f64::min);
    let mut tails = Vec::new();
    for load in [LoadLevel::OwnPeak, LoadLevel::LowestPeak] {
        let mut rounds = vec![Vec::new(); servers.len()];
        for _ in 0..context.options.rounds.get() {
            for ((server, &peak), rounds) in servers.iter().zip(&peaks).zip(&mut rounds) {
                let rate = LOAD_FRACTION * if load == LoadLevel::OwnPeak { peak } else { lowest };
                let open_loop = open_loop_at(rate, context.options.round_time(), context);
                rounds.push(measure_load((server, model, load), peak, open_loop, context)?);
            }
        }
        tails.extend(rounds.iter().filter_map(|rounds| median_round(rounds)));
    }
    Ok(tails)
}

/// Measures at five times the peak.
pub(crate) fn measure_overload(
    server: &RunningServer,
    model: Model,
    context: &ServingContext<'_>,
) -> Result<LoadFigures, BenchError> {
    let peak = measure_peak(server, context)?;
    let open_loop =
        open_loop_at(OVERLOAD_FACTOR * peak, OVERLOAD_ROUNDS * context.options.round_time(), context);
    measure_load((server, model, LoadLevel::Overload), peak, open_loop, context)
}

/// Sends a fixed number of requests in closed loops.
pub(crate) fn measure_soak(
    server: &RunningServer,
    model: Model,
    context: &ServingContext<'_>,
) -> Result<SoakFigures, BenchError> {
    let ServingContext { options, runtime, .. } = context;
    let until = StopCondition::Requests(options.requests);
    let (result, memory) =
        watch_memory(server.tree(), || runtime.block_on(run_closed(&server.target, SOAK_CONCURRENCY, until)));
    let (tally, elapsed) = result?;
    print_failures(server, &tally);
    Ok(SoakFigures {
        server: server.peer.name.to_owned(),
        model: model.name(),
        requests: options.requests,
        errors: tally.failed + tally.rejected + tally.late,
        per_second: tally.answered() as f64 / elapsed.as_secs_f64(),
        memory_growth: memory_growth(&memory),
    })
}

/// Returns the requests per second in closed loops.
fn measure_peak(server: &RunningServer, context: &ServingContext<'_>) -> Result<f64, BenchError> {
    let measurement = measure_own_client(server, PEAK_CONCURRENCY, context.options.round_time());
    Ok(context.runtime.block_on(measurement)?.per_second)
}

fn open_loop_at(rate: f64, duration: Duration, context: &ServingContext<'_>) -> OpenLoop {
    OpenLoop { rate, duration, deadline: context.options.deadline() }
}

fn measure_load(
    (server, model, load): (&RunningServer, Model, LoadLevel),
    peak: f64,
    open_loop: OpenLoop,
    context: &ServingContext<'_>,
) -> Result<LoadFigures, BenchError> {
    let (tally, memory) =
        watch_memory(server.tree(), || context.runtime.block_on(run_open(&server.target, open_loop)));
    let mut tally = tally?;
    print_failures(server, &tally);
    Ok(LoadFigures {
        server: server.peer.name.to_owned(),
        model: model.name(),
        load,
        peak,
        rate: open_loop.rate,
        goodput: tally.answered() as f64 / open_loop.duration.as_secs_f64(),
        p50_ms: tally.latency_quantile(0.5),
        p99_ms: tally.latency_quantile(0.99),
        client_p99_ms: tally.delay_quantile(0.99),
        rejected: tally.rejected,
        late: tally.late,
        failed: tally.failed,
        memory_growth: memory_growth(&memory),
    })
}

/// Returns the medians of several rounds; requests that were not answered are summed.
fn median_round(rounds: &[LoadFigures]) -> Option<LoadFigures> {
    Some(LoadFigures {
        goodput: median_of(rounds, |round| round.goodput),
        p50_ms: median_of(rounds, |round| round.p50_ms),
        p99_ms: median_of(rounds, |round| round.p99_ms),
        client_p99_ms: median_of(rounds, |round| round.client_p99_ms),
        memory_growth: median_of(rounds, |round| round.memory_growth),
        rejected: rounds.iter().map(|round| round.rejected).sum(),
        late: rounds.iter().map(|round| round.late).sum(),
        failed: rounds.iter().map(|round| round.failed).sum(),
        ..rounds.first()?.clone()
    })
}

fn print_failures(server: &RunningServer, tally: &OutcomeTally) {
    if let Some(reason) = &tally.first_failure {
        eprintln!(
            "bench: {}: {} requests failed; reason of the first failure: {reason}",
            server.peer.name, tally.failed
        );
    }
}

/// Runs `operation`, and returns its result and the resident memory of a server in bytes, sampled meanwhile.
fn watch_memory<T>(tree: ProcessTree, operation: impl FnOnce() -> T) -> (T, Vec<f64>) {
    let (stop_sender, stop_receiver) = mpsc::sync_channel::<()>(0);
    let sampler = thread::spawn(move || {
        let mut samples = Vec::new();
        while stop_receiver.recv_timeout(MEMORY_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            samples.push(tree.resident_bytes() as f64);
        }
        samples
    });
    let result = operation();
    drop(stop_sender);
    (result, sampler.join().unwrap_or_default())
}

/// Returns the median of the last quarter relative to that of the second quarter; the first quarter is the
/// warm-up. 1 for fewer than four samples.
fn memory_growth(memory: &[f64]) -> f64 {
    let quarter = memory.len() / 4;
    if quarter == 0 {
        return 1.0;
    }
    let last = median(memory[memory.len() - quarter..].to_vec());
    last / median(memory[quarter..2 * quarter].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_from_the_second_quarter_to_the_last() {
        assert!((memory_growth(&[1.0, 1.0, 4.0, 4.0, 9.0, 9.0, 6.0, 6.0]) - 1.5).abs() < 1e-12);
        assert!((memory_growth(&[3.0]) - 1.0).abs() < 1e-12);
    }
}
