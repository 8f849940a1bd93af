//! The spool on a disk that fails, against an oracle that knows what must be there.
//!
//! [`memory`] is the disk: a crash leaves any part of what was not synced, in pieces of a sector. [`oracle`] drives a
//! spool over it by a schedule and checks after every crash that nothing committed is missing without being counted.
//! [`controls`] breaks the disk's promises one by one: a control that no schedule notices fails its test.

mod controls;
mod crash;
mod memory;
mod oracle;
