//! From many requests to few runs of a model.
//!
//! ```text
//! request ─► admit ─► (decode the frames) ─► push ─► jobs ─► take ─► batch ─► run ─► each job's share
//!            permit: jobs, bytes, time left          queue    policy          engine thread
//! ```
//! A head has one bounded queue, and as many sessions as it has instances; each has an engine thread. While they run,
//! jobs gather; when one is free it takes what [`policy`] says. What is quicker than a change of threads is run by the
//! callers ([`turn`]). Invariants:
//!
//! - A job exists only with a [`Permit`](queue::Permit), which is given back when the job has run or was discarded, not
//!   when its caller goes: whoever is still in the queue counts.
//! - A job has a deadline. A job whose deadline has passed or whose caller has gone never enters a batch.
//! - Jobs of one batch have inputs of one shape but for the number of items.
//! - When a head is dropped, its threads finish the queue and end.

pub(crate) mod engine;
pub(crate) mod job;
pub(crate) mod metrics;
pub(crate) mod policy;
pub(crate) mod queue;
mod settings;
pub(crate) mod sizing;
pub(crate) mod stats;
mod turn;

pub use job::Terms;
pub use policy::Priority;
pub use settings::Batching;
