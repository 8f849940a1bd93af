//! From the edge's spool to the cloud's archive.
//!
//! ```text
//! append ─► store (a thread: the spool, group commits) ─read─► message ─► window ═gRPC═► archive
//!    ◄── on the disk                  ◄──────────────── acknowledgements ◄════════════════┘
//! ```
//! [`Store`] owns the spool: whoever appends is answered when the disk has the record. [`Uplink`] sends what the store
//! has over `lopside.v1.IngestService.Upload`, and starts again whenever a connection ends.
//!
//! # What holds
//! - A record is taken off the store when the cloud has acknowledged it, and not before.
//! - Of what waits, the most important goes first; what is under way takes no longer than the [window](flow::Flow) lets
//!   it.
//! - On a new connection the cloud says first what it has. That is not sent again, and what had to make room in the
//!   meantime is counted as what it is: delivered or dropped.
//! - What is sent twice has the same name (device, epoch, class, number), by which the cloud applies it once.

mod backoff;
mod error;
pub mod flow;
mod items;
mod message;
mod record;
mod session;
mod store;
mod uplink;

pub use error::UplinkError;
pub use items::StoredItems;
pub use record::{Captured, Item};
pub use store::{Outcome, Snapshot, Store, StoreSettings};
pub use uplink::{Link, Uplink, UplinkSettings};
