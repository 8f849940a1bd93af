//! Batching: combines many requests into few runs of a model.
//!
//! ```text
//! request ─► admit ─► (decode the frames) ─► push ─► jobs ─► take ─► batch ─► run ─► each job's slice
//!            permit: jobs, bytes, time left          queue    policy          engine thread
//! ```
//! A head has one bounded queue and one session per instance, with as many engine threads. Jobs accumulate while
//! all sessions are busy; a free session takes the batch that [`policy`] selects. Jobs that take less time than
//! a thread switch are run by their callers' threads ([`caller_run`]). Invariants:
//!
//! - Each queued job is owned by a thread or task that looks at the queue in bounded time ([`queue`]).
//! - Each job holds a [`Permit`], which is returned when the job has run or was discarded, not
//!   when its caller stops waiting: queued jobs always count.
//! - Each job has a deadline. A job whose deadline has passed or whose caller has stopped waiting never enters a
//!   batch.
//! - All jobs of a batch have inputs of the same shape except for the number of items.
//! - After a head is dropped, its threads finish the queue and exit.

mod admission;
mod caller_run;
mod discard_reason;
mod engine;
mod head_name;
mod job;
mod metrics;
#[cfg(test)]
mod model_check;
mod monitor;
mod permit;
mod policy;
mod queue;
mod queue_state;
mod run_batch;
mod settings;
mod stats;
mod steps;
#[cfg(test)]
mod test_job;
#[cfg(test)]
mod tests;
mod turn;

pub use self::engine::Engine;
pub(crate) use self::engine::PendingResult;
pub(crate) use self::head_name::HeadName;
pub(crate) use self::permit::Permit;
pub use self::settings::BatchSettings;
pub use self::stats::{BatchTotals, HeadCounts, HeadStats, TimingCounter, TimingTotal};
