//! Open loops: requests at a given rate with exponential gaps, whether earlier ones are answered or not.
//!
//! A latency is measured relative to the time at which the request was due, so that a client that falls
//! behind does not make the server look faster; the client's delay is reported separately.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::mpsc, task::JoinSet};

use super::{Connection, LoadTarget, OutcomeTally, client::Outcome};
use crate::{BenchError, error::ServingError};

/// Number of connections, which are used in turn.
const CONNECTIONS: usize = 16;
/// Maximum number of requests that are due but not sent. If the client falls further behind, the clock
/// blocks, and the remaining requests keep their due times.
const MAX_DUE_REQUESTS: usize = 1 << 16;
const SEED: u64 = 5;

/// An open loop of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenLoop {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Duration of the loop.
    pub(crate) duration: Duration,
    /// Time after which a request is abandoned.
    pub(crate) deadline: Duration,
}

/// Sends all requests and waits for the last response.
pub(crate) async fn run_open(
    target: &Arc<LoadTarget>,
    open_loop: OpenLoop,
) -> Result<OutcomeTally, BenchError> {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(target.connect().await?);
    }
    let (due_sender, mut due_receiver) = mpsc::channel(MAX_DUE_REQUESTS);
    // The runtime's timers have a resolution of milliseconds; a separate thread sleeps more precisely.
    let clock =
        thread::spawn(move || run_clock(open_loop, |instant| due_sender.blocking_send(instant).is_ok()));
    let mut requests = JoinSet::new();
    let mut tally = OutcomeTally::default();
    let mut request_index = 0;
    loop {
        tokio::select! {
            due = due_receiver.recv() => match due {
                Some(due) => {
                    let connection = &mut connections[request_index % CONNECTIONS];
                    if connection.is_closed() {
                        *connection = target.connect().await?;
                    }
                    if let Some(connection) = connection.share() {
                        requests.spawn(send_due(connection, Arc::clone(target), due, open_loop.deadline));
                    }
                    request_index += 1;
                }
                None => break,
            },
            Some(result) = requests.join_next() => count_completion(&mut tally, result)?,
        }
    }
    while let Some(result) = requests.join_next().await {
        count_completion(&mut tally, result)?;
    }
    clock.join().map_err(|_| ServingError::LoadTask {
        reason: "the thread that schedules the requests panicked".to_owned(),
    })?;
    Ok(tally)
}

/// The outcome of a request, its latency, and the part of the latency before the client sent it.
type Completion = (Outcome, Duration, Duration);

fn count_completion(
    tally: &mut OutcomeTally,
    result: Result<Completion, tokio::task::JoinError>,
) -> Result<(), ServingError> {
    let (outcome, latency, delay) =
        result.map_err(|error| ServingError::LoadTask { reason: error.to_string() })?;
    tally.count_outcome(outcome, latency);
    tally.record_delay(delay);
    Ok(())
}

async fn send_due(
    mut connection: Connection,
    target: Arc<LoadTarget>,
    due: Instant,
    deadline: Duration,
) -> Completion {
    let delay = due.elapsed();
    // The client fell behind, and the deadline has already passed.
    let Some(remaining) = deadline.checked_sub(delay) else { return (Outcome::Late, delay, delay) };
    let outcome = connection.send_with_deadline(&target, Some(remaining)).await;
    let latency = due.elapsed();
    if outcome == Outcome::Answered && latency > deadline {
        (Outcome::Late, latency, delay)
    } else {
        (outcome, latency, delay)
    }
}

fn run_clock(open_loop: OpenLoop, mut send: impl FnMut(Instant) -> bool) {
    let start = Instant::now();
    for offset in due_times(open_loop) {
        let instant = start + offset;
        wait(instant);
        if !send(instant) {
            return;
        }
    }
}

// The awaited event is the time itself.
#[allow(clippy::disallowed_methods)]
fn wait(until: Instant) {
    thread::sleep(until.saturating_duration_since(Instant::now()));
}

/// Returns the due times of requests, relative to the start: gaps of `−ln(1 − u) / rate` for uniform `u`, a
/// Poisson process.
fn due_times(open_loop: OpenLoop) -> impl Iterator<Item = Duration> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut seconds = 0.0;
    std::iter::from_fn(move || {
        seconds -= (1.0 - rng.random_range(0.0..1.0_f64)).ln() / open_loop.rate;
        Some(Duration::from_secs_f64(seconds))
    })
    .take_while(move |&offset| offset < open_loop.duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_follow_the_rate_in_ascending_order() {
        let open_loop = OpenLoop { rate: 2000.0, duration: Duration::from_secs(5), deadline: Duration::ZERO };
        let times: Vec<Duration> = due_times(open_loop).collect();
        assert!((9_600..10_400).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && times.last().is_some_and(|last| *last < open_loop.duration));
    }
}
