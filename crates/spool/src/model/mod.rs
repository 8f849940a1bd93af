//! Tests of the spool on a disk that fails, against an oracle that tracks the expected records.
//!
//! [`memory`] is the disk: a crash leaves any part of the unsynced bytes, in pieces of a sector. [`oracle`]
//! runs a schedule on a spool and checks after every crash that no committed record is missing without being
//! counted ([`expectations`]). Other processes interfere: one opens the spool that is open, one removes the open
//! segment, one adds files with the names of segments. The disk may be full, or be set back to an earlier copy; the
//! device may get another name; and the [`receiver`] may be set back and lose records. Time passes, and the classes have
//! different drop policies and age limits.
//! [`controls`] breaks the promises of the disk and of the receiver one by one: a control that no schedule detects
//! fails its test.

mod broken_promise;
mod checksums;
mod connection;
mod controls;
mod crash;
mod expectations;
mod inode;
mod memory;
mod oracle;
mod receiver;
mod schedules;
mod steps;
