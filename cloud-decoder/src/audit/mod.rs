//! The audit log: who loaded, unloaded or deleted something, and which files of keys, channels and certificates changed.
//!
//! ```text
//! handler ─► change ─► action ─► outcome ─┬─► line of the log, target "audit"
//! watched file ─► change ─────────────────┴─► row of the archive, in a chain of hashes
//! ```
//! A server without an archive has the lines only. A row that cannot be stored is an error in the log and in the metrics;
//! the change itself is made nevertheless, because an administrator must be able to act while the archive fails.
//!
//! An action and its entry run in a task of their own, so that a client that disconnects in between cannot hide what it
//! did.

mod actor;
mod difference;
mod files;
mod log;
mod verify;

pub use self::verify::{AuditCheck, verify_log};
pub(crate) use self::{
    actor::Actor,
    files::{follow_certificate, follow_channels, follow_keys, record_folders},
    log::{AuditLog, Change},
};
