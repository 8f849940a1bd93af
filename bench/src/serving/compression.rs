//! The cost of a client that lists compression algorithms, as nearly all clients do without being asked to: the
//! same unmodified client as it is, and with compression explicitly off, in turns. A server that compresses every
//! answer for such clients makes them many times slower on a fast network.

use serde::Serialize;

use super::{
    ServingContext,
    fleet::RunningServer,
    models::Model,
    round_figures::RoundFigures,
    script_client::{ScriptClient, ScriptRound},
};
use crate::{BenchError, median::median};

/// The clients whose compression can be turned off.
const CLIENTS: [ScriptClient; 2] = [ScriptClient::TritonGrpc, ScriptClient::TritonHttp];
/// Number of concurrent requests.
const CONCURRENCY: usize = 4;

/// The figures of a client with and without compression.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CompressionFigures {
    pub(crate) server: String,
    pub(crate) model: &'static str,
    pub(crate) client: &'static str,
    /// Medians of the client as it is.
    pub(crate) default: RoundFigures,
    /// Medians with compression explicitly off.
    pub(crate) off: RoundFigures,
    /// Median of the rounds' ratios of the median latency, default to off.
    pub(crate) latency_ratio: f64,
    /// Median of the rounds' ratios of the CPU time per request, default to off.
    pub(crate) cpu_ratio: f64,
}

/// Measures each client with and without compression, in turns.
pub(crate) fn measure_compression(
    server: &RunningServer,
    model: Model,
    context: &ServingContext<'_>,
) -> Result<Vec<CompressionFigures>, BenchError> {
    CLIENTS.into_iter().map(|client| measure_client(client, server, model, context)).collect()
}

fn measure_client(
    client: ScriptClient,
    server: &RunningServer,
    model: Model,
    context: &ServingContext<'_>,
) -> Result<CompressionFigures, BenchError> {
    let duration = context.options.round_time();
    let round = ScriptRound { server, model, concurrency: CONCURRENCY, duration, accepts_compression: true };
    let (mut default, mut off) = (Vec::new(), Vec::new());
    for _ in 0..context.options.rounds.get() {
        default.push(client.measure_round(round)?);
        off.push(client.measure_round(ScriptRound { accepts_compression: false, ..round })?);
    }
    Ok(CompressionFigures {
        server: server.peer.name.to_owned(),
        model: model.name(),
        client: client.name(),
        latency_ratio: median_ratio(&default, &off, |figures| figures.p50_ms),
        cpu_ratio: median_ratio(&default, &off, |figures| figures.cpu_ms),
        default: RoundFigures::medians(&default),
        off: RoundFigures::medians(&off),
    })
}

/// Returns the median of the rounds' ratios of a figure.
fn median_ratio(default: &[RoundFigures], off: &[RoundFigures], figure: fn(&RoundFigures) -> f64) -> f64 {
    median(default.iter().zip(off).map(|(default, off)| figure(default) / figure(off)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_rounds() {
        let rounds = |latencies: [f64; 3]| {
            latencies.map(|p50_ms| RoundFigures {
                cpu_ms: 1.0,
                per_second: 1.0,
                p50_ms,
                p99_ms: 1.0,
                errors: 0,
            })
        };
        let ratio =
            median_ratio(&rounds([4.0, 9.0, 1.0]), &rounds([2.0, 1.0, 1.0]), |figures| figures.p50_ms);
        assert_eq!(ratio.to_bits(), 2.0_f64.to_bits());
    }
}
