//! Batching: combines many requests into few runs of a model.
//!
//! ```text
//! request ─► admit ─► (decode the frames) ─► push ─► jobs ─► take ─► batch ─► run ─► each job's slice
//!            permit: jobs, bytes, time left          queue    policy          engine thread
//! ```
//! A head has one bounded queue and one session per instance, each with an engine thread. Jobs accumulate while
//! all sessions are busy; a free session takes the batch that [`policy`] selects. Jobs that take less time than
//! a thread switch are run by their callers ([`turn`]). Invariants:
//!
//! - Each job holds a [`Permit`](queue::Permit), which is returned when the job has run or was discarded, not
//!   when its caller stops waiting: queued jobs always count.
//! - Each job has a deadline. A job whose deadline has passed or whose caller has stopped waiting never enters a
//!   batch.
//! - All jobs of a batch have inputs of the same shape except for the number of items.
//! - After a head is dropped, its threads finish the queue and exit.

pub(crate) mod engine;
pub(crate) mod job;
pub(crate) mod metrics;
pub(crate) mod policy;
pub(crate) mod queue;
mod settings;
pub(crate) mod sizing;
pub(crate) mod stats;
mod turn;

pub use job::RequestOptions;
pub use policy::Priority;
pub use settings::BatchSettings;
