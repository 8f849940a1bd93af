//! Load: closed loops, where a worker asks again once it is answered, and open ones, where requests come at a rate
//! whether earlier ones are answered or not.
//!
//! The client runs on one thread, so that it takes at most one core from the server.

mod client;
mod closed;
mod open;
mod tally;

pub(crate) use client::{Connection, INFER, Target};
pub(crate) use closed::{Until, closed};
pub(crate) use open::{Arrivals, open};
pub(crate) use tally::Tally;

use crate::BenchError;

/// A runtime of one thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| BenchError::Load(error.to_string()))
}
