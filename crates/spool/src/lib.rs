//! The durable queue on a device: records stay on its disk until the cloud has acknowledged them, and longer if
//! there is space.
//!
//! ```text
//! append ─► block in memory ─commit─► segment of the class ─read─► uplink ─acknowledge─► cursor ─► segment kept
//!                             write + fdatasync                                  │ write + fdatasync     │
//!                                                          receiver set back ─► cursor moves back        ▼
//!                                                                               space is needed ─► segment removed
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
//! | `stray-…` | files with the name of a segment that another program has put into the folder: see below |
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
//! - The files never exceed the budget. When it is full, or when other programs have filled the disk, the oldest
//!   segments whose records are all delivered are removed, then the oldest records of a less important class are
//!   evicted. If there are none, the [policy](ClassPolicy) of the class decides: the new record is refused, or the
//!   oldest records of the class are evicted. Evicted and refused records are counted, and the counts are as durable
//!   as the records. A refused record is not counted if the producer keeps it ([`Spool::try_append`]).
//! - A class may have an age limit. [`Spool::expire`] removes the segments of which all records are older, delivered
//!   or not, and counts the others as expired. The age of a record is known if the time was known when it was
//!   committed and is known now ([`Spool::set_time`]); a record of unknown age does not expire before a later one
//!   that does.
//! - A segment begins after a record that the state on disk knows to have been committed, or directly after the
//!   previous segment. A file with the name of a segment for which this is not so is a stray: another program has put
//!   it there. It is kept under another name, and its numbers count for nothing.
//! - `produced = delivered + dropped (by reason) + in doubt + pending`, for each class, at all times and
//!   after every crash. Records that were sent, and then evicted or expired before they were acknowledged, are in
//!   doubt until the receiver reports which of them it has. The others then count as evicted.
//! - The torn end that a crash leaves in a log is cut off; it was never acknowledged to a producer. Damage
//!   before the end is skipped, its records are counted as dropped, and its bytes are set aside for
//!   inspection.
//! - After a failed write or sync the contents of the file are unknown: the spool refuses all further work
//!   and must be opened again, which finds out what is on disk. The same holds if another program has removed
//!   or replaced a file. Records that are known and no longer on disk are counted as damaged.
//! - Memory does not depend on the backlog: it holds one block to write and one block to read per class, and
//!   a few words per segment.
//!
//! # Names
//! The number of a record that was torn by a crash or lost to damage may be used again. Therefore each block
//! contains the [epoch](Options::epoch) of the process that wrote it, which is unique to that process: epoch,
//! class and number together identify a record for ever. The spool as a whole also has a [name](Spool::name),
//! so that a receiver does not confuse the numbers of a removed spool with those of the spool that replaced
//! it.
//!
//! The name belongs to one history of one folder. A copy continues to number records from where it was copied,
//! and so does a folder that is set back to an earlier state, by a backup or by a file system that forgets its
//! changes at each start. The numbers of both histories overlap. A copy on another machine takes a new name when
//! it is opened. Any other copy takes one when the receiver reports a number that this spool has not given to
//! a record of the same epoch: [`Spool::find_unknown`], [`Spool::take_new_name`].
//!
//! A receiver knows a spool only together with the name of its [device](Options::device). A spool that is opened
//! under another name of the device therefore takes a new name too: the receiver must not miss the records that it
//! has under the old one. The records that wait are sent under the new names; delivered ones are not sent again.
//! An acknowledgement that a crash has undone cannot be requested again, so its records are sent a second time, and
//! records in doubt count as evicted.
//!
//! # Receivers that are set back
//! A receiver may lose records that it has acknowledged, because its database was restored. It finds out by the
//! highest number that it has [acknowledged](Spool::acknowledged_on_disk), and reports the numbers that it
//! has lost. Those that the spool has kept are pending again ([`Spool::reopen_lost`]): they are no longer
//! `delivered`. Those that the spool does not have any more are counted as [lost](Counters::lost). They remain
//! `delivered`, because they were acknowledged, so `lost` is a part of `delivered` and the sum above does not
//! change. A record that is pending again and has to make space is `delivered` and lost, not evicted.

mod binding;
pub mod block;
mod class_log;
mod counters;
mod damage;
mod device_name;
mod disk;
mod disk_fix;
mod error;
mod lock;
mod lost_numbers;
mod machine;
#[cfg(test)]
mod model;
mod number_ranges;
mod options;
mod policy;
mod reader;
mod recovery;
pub mod segment;
mod spool;
pub mod state;
mod state_file;
mod storage;
mod strays;
mod write_times;

pub use binding::NameChange;
pub use counters::{Counters, DropReason, PastRecords};
pub use device_name::DeviceName;
pub use disk::{Disk, DiskFile};
pub use disk_fix::disk_fix;
pub use error::SpoolError;
pub use machine::MachineId;
pub use options::Options;
pub use policy::{ClassPolicy, DropPolicy};
pub use spool::{AppendOutcome, LossOutcome, Record, Spool};
pub use state::State;
pub use state_file::read_state;
pub use storage::{File, Storage};
pub use strays::is_stray_name;
