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
//! - If a class drops its oldest records, those in flight may be evicted. The connection then ends, so that the next one
//!   reports which of them have arrived.
//! - If the cloud reports a record that the spool has not sent, then the spool was copied or set back to an
//!   earlier state, and uses numbers again that the cloud knows. Nothing of the report is applied: the spool takes
//!   a new name, and the next connection uses it.
//! - If the cloud was set back, it reports which acknowledged records it has lost. Those that the spool still has
//!   are sent again, each at most once per connection; the others are counted as lost. Both are logged.
//! - If the cloud accepts it, it is told at each connection of the device's sources, and whenever one of them falls silent,
//!   ends, is started again or has a problem. These reports stand between messages with frames, are bounded in number,
//!   and never take the place of a frame.
//! - A record that is sent twice has the same identity (device, spool, epoch, class, number), so the cloud
//!   applies it once.

mod append;
mod backoff;
mod clock;
mod cloud_report;
mod error;
pub mod flow;
mod items;
mod link_state;
mod message;
mod open_spool;
mod record;
mod report_schedule;
mod session;
mod source_status;
mod store;
mod store_state;
mod store_thread;
mod uplink;

pub use append::{RefusalPolicy, StoreOutcome};
pub use error::UplinkError;
pub use items::StoredItems;
pub use link_state::LinkState;
pub use record::{CapturedFrame, CapturedMarks, FileItem};
pub use source_status::SourceStatus;
pub use store::Store;
pub use store_state::{StoreSettings, StoreSnapshot};
pub use uplink::{Uplink, UplinkSettings};
