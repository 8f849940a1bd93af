//! The durable queue on a device: records stay on its disk until the cloud has acknowledged them.
//!
//! ```text
//! append ─► block in memory ─commit─► segment of the class ─read─► uplink ─acknowledge─► cursor ─► segment removed
//!                             write + fdatasync                               write + fdatasync, then unlink
//! ```
//! A record belongs to a [`Class`](lopside_delivery::Class), and each class is a separate log: the records of
//! a class leave it in the order in which they entered, numbered without gaps. The reader decides which class
//! goes first. Several records are committed together, as one [block](mod@block).
//!
//! # Files
//! | name | contents |
//! |---|---|
//! | `state` | cursors and counters, twice: see [`state`](mod@state) |
//! | `lock` | the number of the process that has the spool open; the file is locked for as long |
//! | `damaged-…` | bytes that were found in a segment where a block should be |
//! | `CLASS-FIRST.log` | a segment: the blocks of a class from record number `FIRST` on, 16 hexadecimal digits; see [`segment`](mod@segment) |
//!
//! # Invariants
//! - One opening at a time uses the folder: nothing in it is read or changed before the file `lock` is
//!   locked.
//! - A record is acknowledged to its producer after `fdatasync` of its segment and of the folder that
//!   contains it, and only if the segment and the lock are then still in the folder under their names.
//! - A cursor is on disk before a segment behind it is removed, and before the receiver may forget the
//!   records behind it. Otherwise the cursor on disk may be out of date: an acknowledgement does not cost a
//!   sync.
//! - The files never exceed the budget. When it is full, the oldest records of a less important class are
//!   evicted; if there are none, the new record is refused. Both are counted, and the counts are as durable
//!   as the records.
//! - `produced = delivered + dropped (by reason) + in doubt + pending`, for each class, at all times and
//!   after every crash. Records that were sent and then evicted before they were acknowledged are in doubt,
//!   until the receiver reports which of them it has.
//! - The torn end that a crash leaves in a log is cut off; it was never acknowledged to a producer. Damage
//!   before the end is skipped, its records are counted as dropped, and its bytes are set aside for
//!   inspection.
//! - After a failed write or sync the contents of the file are unknown: the spool refuses all further work
//!   and must be opened again, which finds out what is on disk. The same holds if another program has removed
//!   or replaced a file. Records that are known and no longer on disk are counted as damaged.
//! - Memory does not depend on the backlog: it holds one block to write and one block to read per class, and
//!   a few words per segment.
//!
//! The number of a record that was torn by a crash or lost to damage may be used again. Therefore each block
//! contains the [epoch](Options::epoch) of the process that wrote it, which is unique to that process: epoch,
//! class and number together identify a record for ever. The spool as a whole also has a [name](Spool::name),
//! so that a receiver does not confuse the numbers of a removed spool with those of the spool that replaced
//! it. The name belongs to one machine: a copy of the folder on another machine takes a new name, because
//! both continue to number records from where they were copied.

pub mod block;
mod class_log;
mod damage;
mod disk;
mod error;
mod lock;
mod machine;
#[cfg(test)]
mod model;
mod options;
mod received_numbers;
mod recovery;
pub mod segment;
mod spool;
pub mod state;
mod storage;

pub use disk::{Disk, DiskFile};
pub use error::SpoolError;
pub use machine::MachineId;
pub use options::Options;
pub use spool::{AppendOutcome, Record, Spool};
pub use state::{Counters, DropReason, State};
pub use storage::{File, Storage};
