//! The cloud's durable archive of frames, in SQLite or PostgreSQL.
//!
//! ```text
//! callers ─batch─► channel ─► writer ─► one transaction: watermarks, frames, counters ─commit─► answers, feed
//!                 (bounded)   (one task)
//! readers ─────────────────────────────► pool of connections
//! ```
//!
//! # Names
//! A record's name is its device, its epoch, its [`Class`] and its number. Numbers of a device's class ascend over
//! all epochs, from 1 on, with gaps where the edge had to drop records; an epoch is one opening of the edge's spool.
//! A later epoch uses a number again only where the edge has lost its first use.
//!
//! # What holds
//! - A batch is answered after its commit is on the disk, and is applied wholly or not at all.
//! - A record is applied once. Which were applied is kept as a [`Watermark`] for each device, class and epoch, in the
//!   transaction that inserts the frames, and is never forgotten: also not when the frames are deleted.
//! - A record that comes again with another digest is not applied, and is counted as conflicting while the first one is
//!   archived.
//! - The counters of a device are those of its frames, in every transaction.
//! - Batches that wait together share a commit. A batch that is refused, or that a database cannot take, fails alone.
//! - Frames are kept as they came. Scores can be made again at any time; a frame has the newest one.
//!
//! # Backends
//! | | SQLite | PostgreSQL |
//! |---|---|---|
//! | address | `sqlite:PATH`, or a path | `postgres://USER:PASSWORD@HOST/NAME` |
//! | servers on it | one | several; each one's feed has what that one commits |
//! | durable by | write-ahead log, `synchronous=FULL` | its `synchronous_commit`, left on |

mod archive;
mod backend;
mod batch;
mod class;
mod device;
mod error;
mod frame;
mod postgres;
mod query;
mod score;
mod sqlite;
mod watermark;
mod writer;

pub use archive::{Archive, Settings, Swept};
pub use batch::{Applied, Batch, LatentSpace, MAX_FRAME, MAX_RECORDS, NewRecord, device_fault};
pub use class::Class;
pub use device::Device;
pub use error::ArchiveError;
pub use frame::{Frame, FrameMeta, Score};
pub use query::{Cursor, MAX_PAGE, Page, Query, Since};
pub use score::{HeadKey, NewScore, Unscored};
pub use watermark::Watermark;
