//! The durable queue of the edge: records stay on its disk until the cloud has acknowledged them.
//!
//! ```text
//! append ─► block in memory ─commit─► segment of the class ─read─► uplink ─acknowledge─► cursor ─► segment removed
//!                             write + fdatasync                               write + fdatasync, then unlink
//! ```
//! A record belongs to a [`Class`], which is a log by itself: records of a class come out in the order in which they
//! went in, numbered without gaps; what goes first between classes is for the reader to say. Several records are
//! committed together, as one [block](mod@block).
//!
//! # Files
//! | name | |
//! |---|---|
//! | `state` | cursors and counters, twice: see [`state`](mod@state) |
//! | `damaged-…` | what stood in a segment where a block should be |
//! | `CLASS-FIRST.log` | a segment: the blocks of a class from record number `FIRST` on, 16 hexadecimal digits; see [`segment`](mod@segment) |
//!
//! # What holds
//! - A record is acknowledged to its producer after `fdatasync` of its segment, and of the folder that names it.
//! - A cursor is on the disk before a segment behind it is removed, and before the receiver may forget what is behind it.
//!   Otherwise it may be late: an acknowledgement costs no sync.
//! - The files never have more bytes than the budget. When it is full, the oldest records of a less important class go;
//!   when there is none, the new record is refused. Both are counted, and the counts are as durable as the records.
//! - `produced = delivered + dropped (by reason) + in doubt + pending`, for each class, at all times and after every crash.
//!   In doubt is what was sent and had to make room before an acknowledgement came, until the receiver says what it has.
//! - What a crash has torn at the end of a log is cut off; nobody was told that it is there. Damage before the end is
//!   passed over, its records counted as dropped, and its bytes set aside for a look.
//! - After a write or sync that failed nothing is known of the file: the spool refuses all further work, and is to be
//!   opened again, which finds out what the disk has.
//! - Memory does not depend on the backlog: a block to write and a block to read for each class, and a few words a
//!   segment.
//!
//! A record that a crash tore or that damage took may have left its number to be used again. So a block names the
//! [epoch](Options::epoch) of the process that wrote it, which no other process has: epoch, class and number
//! together are a record's name for ever. The spool as a whole has a [name](Spool::name) too, so that a receiver does not
//! take the numbers of a spool that was removed for those of the one that has its place.

mod aside;
pub mod block;
mod class;
mod disk;
mod error;
mod lane;
#[cfg(test)]
mod model;
mod received;
mod recovery;
pub mod segment;
mod spool;
pub mod state;
mod storage;

pub use class::Class;
pub use disk::{Disk, DiskFile};
pub use error::SpoolError;
pub use spool::{Appended, Options, Record, Spool};
pub use state::{Counters, Reason};
pub use storage::{File, Storage};
