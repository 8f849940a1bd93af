//! What a server does near its limit, beyond it, and for long: p99 at 70 % of its peak, goodput at five times the
//! peak, and memory over many requests.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde::Serialize;

use super::{
    Bench,
    fleet::Member,
    load::{Arrivals, Tally, Until, closed, open},
    models::Model,
    process::Tree,
    speed::{median, own},
};
use crate::BenchError;

/// Workers that find the peak.
const PEAK_CONCURRENCY: usize = 64;
/// Workers of the soak.
const SOAK_CONCURRENCY: usize = 16;
/// The share of the peak that a well-sized server runs at.
const LOAD: f64 = 0.7;
/// How many times the peak comes in when everyone retries.
const OVERLOAD: f64 = 5.0;
/// A tail needs longer than a mean: rounds are so many times as long.
const LONGER: u32 = 4;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(100);

/// At a rate of requests that come by themselves.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Strain {
    pub(crate) server: String,
    pub(crate) model: &'static str,
    /// Requests a second in closed loops.
    pub(crate) peak: f64,
    /// Requests a second that came.
    pub(crate) rate: f64,
    /// Answered within the deadline, a second.
    pub(crate) goodput: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) rejected: u64,
    pub(crate) late: u64,
    pub(crate) failed: u64,
    /// Median of resident memory in the last quarter of the time to that in the second.
    pub(crate) memory_growth: f64,
}

/// After many requests.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Soak {
    pub(crate) server: String,
    pub(crate) model: &'static str,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) per_second: f64,
    /// Median of resident memory in the last quarter of the time to that in the second.
    pub(crate) memory_growth: f64,
}

/// At 70 % of the peak.
pub(crate) fn tail(member: &Member, model: Model, bench: &Bench<'_>) -> Result<Strain, BenchError> {
    strain(member, model, LOAD, bench)
}

/// At five times the peak.
pub(crate) fn overload(member: &Member, model: Model, bench: &Bench<'_>) -> Result<Strain, BenchError> {
    strain(member, model, OVERLOAD, bench)
}

/// Closed loops of so many requests in all.
pub(crate) fn soak(member: &Member, model: Model, bench: &Bench<'_>) -> Result<Soak, BenchError> {
    let Bench { options, runtime, .. } = bench;
    let until = Until::Requests(options.requests);
    let load = || runtime.block_on(closed(&member.target, SOAK_CONCURRENCY, until));
    let (done, memory) = watched(member.tree(), load);
    let (tally, elapsed) = done?;
    told(member, &tally);
    Ok(Soak {
        server: member.peer.name.to_owned(),
        model: model.name(),
        requests: options.requests,
        errors: tally.failed + tally.rejected + tally.late,
        per_second: tally.answered() as f64 / elapsed.as_secs_f64(),
        memory_growth: growth(&memory),
    })
}

fn strain(member: &Member, model: Model, share: f64, bench: &Bench<'_>) -> Result<Strain, BenchError> {
    let Bench { options, runtime, .. } = bench;
    let peak = runtime.block_on(own(member, PEAK_CONCURRENCY, options.time()))?.per_second;
    let time = options.time() * LONGER;
    let arrivals = Arrivals { rate: peak * share, time, deadline: options.deadline() };
    let (tally, memory) = watched(member.tree(), || runtime.block_on(open(&member.target, arrivals)));
    let mut tally = tally?;
    told(member, &tally);
    Ok(Strain {
        server: member.peer.name.to_owned(),
        model: model.name(),
        peak,
        rate: arrivals.rate,
        goodput: tally.answered() as f64 / time.as_secs_f64(),
        p50_ms: tally.quantile(0.5),
        p99_ms: tally.quantile(0.99),
        rejected: tally.rejected,
        late: tally.late,
        failed: tally.failed,
        memory_growth: growth(&memory),
    })
}

fn told(member: &Member, tally: &Tally) {
    if let Some(why) = &tally.first_failure {
        eprintln!("bench: {}: {} requests failed: {why}", member.peer.name, tally.failed);
    }
}

/// What `work` answers, and the resident memory of a server while it lasted, in bytes.
fn watched<T>(tree: Tree, work: impl FnOnce() -> T) -> (T, Vec<f64>) {
    let (stop, stopped) = mpsc::sync_channel::<()>(0);
    let watch = thread::spawn(move || {
        let mut seen = Vec::new();
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            seen.push(tree.resident() as f64);
        }
        seen
    });
    let done = work();
    drop(stop);
    (done, watch.join().unwrap_or_default())
}

/// The last quarter's median to the second quarter's; the first is warm-up. 1 when there is too little to tell.
fn growth(memory: &[f64]) -> f64 {
    let quarter = memory.len() / 4;
    if quarter == 0 {
        return 1.0;
    }
    let of = |from: usize| median(memory[from..from + quarter].to_vec());
    of(memory.len() - quarter) / of(quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_from_the_second_quarter_to_the_last() {
        assert!((growth(&[1.0, 1.0, 4.0, 4.0, 9.0, 9.0, 6.0, 6.0]) - 1.5).abs() < 1e-12);
        assert!((growth(&[3.0]) - 1.0).abs() < 1e-12);
    }
}
