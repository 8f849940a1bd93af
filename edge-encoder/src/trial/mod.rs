//! The trial of a bundle from outside, in a process of its own: a model that crashes the process, eats its memory or
//! never ends does so without the agent.
//!
//! ```text
//! agent: run_trial ── starts ──► child: edge-encoder try-bundle FOLDER
//!   │                              sets its limits, opens the bundle, encodes its golden inputs
//!   └◄── one line of JSON, and how it ended
//! ```
//!
//! | limit of the child | value |
//! |---|---|
//! | time | [`TrialLimits::time`]; then it is killed |
//! | processor time | the same for each thread, and one second |
//! | address space | that of the program at its start, and [`TrialLimits::memory_bytes`] |
//! | bytes that it may write to files | 0 |
//! | open files | 32 |
//! | core dump | none |
//! | environment, standard input | empty |
//! | output that the agent keeps | 16 KiB of its answer, 4 KiB of its messages |
//!
//! The child sets the limits itself, before it opens the bundle. It ends with the agent. A trial decides about the
//! encoder and its golden inputs; larger inputs may take more memory.

mod answer;
mod child;
mod ended;
mod limits;
mod process;

pub use self::limits::TrialLimits;
pub(crate) use self::{
    child::{TrialTask, answer_here},
    process::run_trial,
};
