//! The cloud's durable archive of frames, in SQLite or PostgreSQL.
//!
//! ```text
//! callers ─batch, connection─► channel ─► writer ─► one transaction: connections, watermarks, frames, counters
//!                             (bounded)   (one task)    │
//!                                                       └─commit─► answers, feed
//! readers ─────────────────────────────► pool of connections
//! ```
//!
//! # Names
//! A record is identified by its device, its spool, its epoch, its [`Class`](lopside_delivery::Class) and its number.
//! The numbers of a class of a spool ascend over all epochs, from 1 on, with gaps where the device had to drop
//! records. An epoch is one opening of the spool. A later epoch uses a number again only if the device has lost the
//! record that had it before, or if the spool was copied or set back to an earlier state. Such records are new,
//! because their epoch is. What is known of an epoch therefore says nothing about the others.
//!
//! A record that is sent again under another name of its spool is recognised by its epoch, number and digest for as
//! long as its frame is archived.
//!
//! # Invariants
//! - A batch is answered after its commit is on disk, and is applied as a whole or not at all.
//! - With SQLite, nothing is acknowledged after the database's files were moved, deleted or replaced: what is
//!   committed to a file without a path is lost at the end of the process. Each transaction compares the files
//!   before it begins and after its commit.
//! - A failed transaction does not affect later ones, because its connection is closed. An outage, such as a full
//!   disk, lasts as long as its cause; [`Archive::state`] reports it.
//! - A record is applied once. A [`Watermark`] per device, spool, class and epoch stores which records were applied.
//!   It is updated in the transaction that inserts the frames, and is kept for ever, even if the frames are
//!   deleted.
//! - A batch with a record that is archived with another digest is refused as a whole and counted.
//! - A floor settles only numbers before the batch that carries it, and is refused if it is higher than anything that
//!   the device can have settled.
//! - If a device was acknowledged more than the archive knows, the archive was set back to an earlier state. The numbers
//!   between are kept as lost, and each one until it comes again.
//! - The counters of a device match its frames in every transaction.
//! - Frames that arrived together share a row with what they have in common, a run. A run is deleted with its last frame.
//! - Batches and connections that wait at the same time share a commit. A batch that is refused leaves nothing but its
//!   count. A batch that the database cannot store fails alone.
//! - Frames are deleted in the order of their arrival. They are listed by the time of their capture, which comes from the
//!   clock of the device, is corrected by the offset that the device showed when it connected, and is replaced by the
//!   time of arrival if it is impossible.
//! - A device loses frames because of the size of the archive only if no other device occupies more of it.
//! - Frames are stored unchanged. Scores can be computed again at any time; a frame has the newest one.
//! - Rows of the audit log are only added. Each has a hash of itself and of all rows before it.
//!
//! # Backends
//! | | SQLite | PostgreSQL |
//! |---|---|---|
//! | address | `sqlite:PATH`, or a path | `postgres://USER:PASSWORD@HOST/NAME` |
//! | servers per database | one | several; the feed of each server has the frames that it commits itself |
//! | durability | write-ahead log, `synchronous=FULL` | its `synchronous_commit`, left on |

mod archive;
mod audit;
mod backend;
mod batch;
mod clock;
mod connection;
mod device;
mod device_page;
mod error;
mod file_access;
mod files;
mod frame;
mod identity;
mod known_numbers;
mod lost_numbers;
mod open;
mod postgres;
mod query;
mod quota;
mod score;
mod settings;
mod sqlite;
mod state;
mod summary;
mod sweep;
mod sweep_report;
mod watermark;
mod writer;

pub use archive::Archive;
pub use audit::{
    AuditCursor, AuditEntry, AuditEvent, AuditFault, AuditHash, AuditPage, AuditReport,
    MAX_PAGE_AUDIT_ENTRIES,
};
pub use batch::{AppliedBatch, Batch, LatentSpaceKey, MAX_BATCH_RECORDS, NewRecord, device_name_fault};
pub use clock::{ClockQuality, DeviceClock};
pub use connection::{NewConnection, RegisteredConnection};
pub use device::Device;
pub use device_page::{DeviceCursor, DevicePage, MAX_PAGE_DEVICES};
pub use error::ArchiveError;
pub use frame::{Frame, FrameMeta, Score};
pub use identity::ArchiveIdentity;
pub use known_numbers::KnownNumbers;
pub use lost_numbers::LostNumbers;
pub use query::{FramePage, FrameQuery, FramesSince, MAX_PAGE_FRAMES, PageCursor};
pub use score::{HeadKey, NewScore, UnscoredFrame};
pub use settings::Settings;
pub use state::ArchiveState;
pub use summary::ArchiveSummary;
pub use sweep_report::{DeletedFrames, SweepReport};
pub use watermark::Watermark;
