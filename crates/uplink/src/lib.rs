//! The upload path between the edge's spool and the cloud's archive.
//!
//! ```text
//! append ─► store (a thread: the spool, group commits) ─read─► message ─► window ═gRPC═► archive
//!    ◄── on the disk                  ◄──────────────── acknowledgements ◄════════════════┘
//! ```
//! [`Store`] owns the spool and answers each append once the record is on the disk. [`Uplink`] sends the
//! stored records over `lopside.v1.IngestService.Upload`, and reconnects whenever a connection ends.
//!
//! # Invariants
//! - A record is removed from the store only after the cloud has acknowledged it.
//! - Waiting records of the highest class are sent first; the time that messages in flight take is bounded by
//!   the [window](flow::Flow).
//! - On a new connection the cloud first reports the records that it has. They are not sent again, and
//!   records that were evicted in the meantime are counted correctly, as delivered or as dropped. A
//!   connection ends when the spool is reopened, so that the next one reports them again.
//! - A record that is sent twice has the same identity (device, epoch, class, number), so the cloud applies
//!   it once.

mod append;
mod backoff;
mod error;
pub mod flow;
mod items;
mod link_state;
mod message;
mod record;
mod session;
mod store;
mod uplink;

pub use append::StoreOutcome;
pub use error::UplinkError;
pub use items::StoredItems;
pub use link_state::LinkState;
pub use record::{CapturedFrame, FileItem};
pub use store::{Store, StoreSettings, StoreSnapshot};
pub use uplink::{Uplink, UplinkSettings};
