//! Load generators: closed loops, in which a worker sends its next request after a response, and open loops,
//! in which requests are sent at a given rate whether earlier ones are answered or not.
//!
//! The client runs on one thread, so that it takes at most one core from the server.

mod client;
mod closed;
mod open;
mod tally;

pub(crate) use client::{Connection, INFER_PATH, LoadTarget, Outcome};
pub(crate) use closed::{StopCondition, run_closed};
pub(crate) use open::{OpenLoop, run_open};
pub(crate) use tally::OutcomeTally;

use crate::BenchError;

/// Creates a single-threaded runtime.
pub(crate) fn single_thread_runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::AsyncRuntime { source })
}
