//! Closed loops: a number of workers, each with one request in flight.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{Connection, LoadTarget, OutcomeTally};
use crate::{BenchError, error::ServingError};

/// Maximum number of workers that share an HTTP/2 connection.
const WORKERS_PER_CONNECTION: usize = 8;

/// The condition under which the workers stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StopCondition {
    /// The duration after which no request is sent.
    Elapsed(Duration),
    /// The total number of requests.
    Requests(u64),
}

/// Runs `concurrency` workers to the end. Connections are opened before the clock starts; the returned time
/// is that of the requests.
pub(crate) async fn run_closed(
    target: &Arc<LoadTarget>,
    concurrency: usize,
    until: StopCondition,
) -> Result<(OutcomeTally, Duration), BenchError> {
    let connections = open_connections(target, concurrency).await?;
    let request_count = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for connection in connections {
        workers.spawn(run_worker(connection, Arc::clone(target), Arc::clone(&request_count), start, until));
    }
    let mut tally = OutcomeTally::default();
    while let Some(result) = workers.join_next().await {
        tally.merge(result.map_err(|error| ServingError::LoadTask { reason: error.to_string() })?);
    }
    Ok((tally, start.elapsed()))
}

async fn open_connections(target: &LoadTarget, concurrency: usize) -> Result<Vec<Connection>, BenchError> {
    let mut connections: Vec<Connection> = Vec::with_capacity(concurrency);
    for worker in 0..concurrency {
        let shared_connection = if worker % WORKERS_PER_CONNECTION == 0 {
            None
        } else {
            connections.last().and_then(Connection::share)
        };
        connections.push(match shared_connection {
            Some(shared_connection) => shared_connection,
            None => target.connect().await?,
        });
    }
    Ok(connections)
}

async fn run_worker(
    mut connection: Connection,
    target: Arc<LoadTarget>,
    request_count: Arc<AtomicU64>,
    start: Instant,
    until: StopCondition,
) -> OutcomeTally {
    let mut tally = OutcomeTally::default();
    loop {
        let number = request_count.fetch_add(1, Ordering::Relaxed);
        let is_done = match until {
            StopCondition::Elapsed(duration) => start.elapsed() >= duration,
            StopCondition::Requests(count) => number >= count,
        };
        if is_done {
            return tally;
        }
        let sent_at = Instant::now();
        let outcome = connection.send_with_deadline(&target, None).await;
        tally.count_outcome(outcome, sent_at.elapsed());
    }
}
