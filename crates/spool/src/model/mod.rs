//! Tests of the spool on a disk that fails, against an oracle that tracks the expected records.
//!
//! [`memory`] is the disk: a crash leaves any part of the unsynced bytes, in pieces of a sector. [`oracle`]
//! runs a schedule on a spool and checks after every crash that no committed record is missing without being
//! counted. Other processes interfere: one opens the spool that is open, one removes the open segment.
//! [`controls`] breaks the disk's promises one by one: a control that no schedule detects fails its test.

mod broken_promise;
mod checksums;
mod controls;
mod crash;
mod inode;
mod memory;
mod oracle;
