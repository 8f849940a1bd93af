//! Batching: combines many requests into few runs of a model.
//!
//! ```text
//! request ─► admit ─► (decode the frames) ─► push ─► jobs ─► take ─► batch ─► run ─► each job's slice
//!            permit: jobs, bytes, time left          queue    policy          engine thread
//! ```
//! A head has one bounded queue and one session per instance, each with an engine thread. Jobs accumulate while
//! all sessions are busy; a free session takes the batch that [`policy`] selects. Jobs that take less time than
//! a thread switch are run by their callers ([`caller_run`]). Invariants:
//!
//! - Each job holds a [`Permit`], which is returned when the job has run or was discarded, not
//!   when its caller stops waiting: queued jobs always count.
//! - Each job has a deadline. A job whose deadline has passed or whose caller has stopped waiting never enters a
//!   batch.
//! - All jobs of a batch have inputs of the same shape except for the number of items.
//! - After a head is dropped, its threads finish the queue and exit.

mod caller_run;
mod discard_reason;
mod engine;
mod head_name;
mod job;
mod metrics;
mod permit;
mod policy;
mod queue;
mod session_pool;
mod settings;
mod stats;

pub use self::engine::Engine;
pub(crate) use self::engine::PendingResult;
pub(crate) use self::head_name::HeadName;
pub(crate) use self::permit::Permit;
pub use self::settings::BatchSettings;
pub use self::stats::{BatchTotals, HeadCounts, HeadStats, TimingCounter, TimingTotal};
