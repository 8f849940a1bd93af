//! The cloud's durable archive of frames, in SQLite or PostgreSQL.
//!
//! ```text
//! callers ─batch─► channel ─► writer ─► one transaction: watermarks, frames, counters ─commit─► answers, feed
//!                 (bounded)   (one task)
//! readers ─────────────────────────────► pool of connections
//! ```
//!
//! # Names
//! A record is identified by its device, its epoch, its [`Class`](lopside_delivery::Class) and its number.
//! The numbers of a device's class ascend over all epochs, from 1 on, with gaps where the device had to drop
//! records. An epoch is one opening of the device's spool. A later epoch uses a number again only if the
//! device has lost the record that had it before.
//!
//! # Invariants
//! - A batch is answered after its commit is on disk, and is applied as a whole or not at all.
//! - With SQLite, nothing is acknowledged after the database's files were moved, deleted or replaced: what is
//!   committed to a file without a path is lost at the end of the process. Each transaction compares the files
//!   before it begins and after its commit.
//! - A failed transaction does not affect later ones, because its connection is closed. An outage, such as a full
//!   disk, lasts as long as its cause; [`Archive::state`] reports it.
//! - A record is applied once. A [`Watermark`] per device, class and epoch stores which records were applied.
//!   It is updated in the transaction that inserts the frames, and is kept for ever, even if the frames are
//!   deleted.
//! - A record that is sent again with another digest is not applied. It is counted as conflicting as long as
//!   the first one is archived.
//! - The counters of a device match its frames in every transaction.
//! - Batches that wait at the same time share a commit. A batch that is refused, or that the database cannot
//!   store, fails alone.
//! - Frames are deleted by the time of their arrival and listed by the time of their capture. The capture time is
//!   from the clock of the device, which may be wrong.
//! - Frames are stored unchanged. Scores can be computed again at any time; a frame has the newest one.
//!
//! # Backends
//! | | SQLite | PostgreSQL |
//! |---|---|---|
//! | address | `sqlite:PATH`, or a path | `postgres://USER:PASSWORD@HOST/NAME` |
//! | servers per database | one | several; the feed of each server has the frames that it commits itself |
//! | durability | write-ahead log, `synchronous=FULL` | its `synchronous_commit`, left on |

mod archive;
mod backend;
mod batch;
mod device;
mod error;
mod files;
mod frame;
mod open;
mod postgres;
mod query;
mod score;
mod settings;
mod sqlite;
mod state;
mod sweep_report;
mod watermark;
mod writer;

pub use archive::Archive;
pub use batch::{AppliedBatch, Batch, LatentSpaceKey, MAX_BATCH_RECORDS, NewRecord, device_name_fault};
pub use device::Device;
pub use error::ArchiveError;
pub use frame::{Frame, FrameMeta, Score};
pub use query::{FramePage, FrameQuery, FramesSince, MAX_PAGE_FRAMES, PageCursor};
pub use score::{HeadKey, NewScore, UnscoredFrame};
pub use settings::Settings;
pub use state::ArchiveState;
pub use sweep_report::SweepReport;
pub use watermark::Watermark;
