//! The device's store and uplink against a cloud in this process, over a link whose faults the tests control.

// A helper that fails lets its test fail.
#![allow(clippy::unwrap_used)]

mod connections;
mod delivery;
mod failing_disk;
mod outage;
mod policies;
mod set_back;
mod slow_link;
mod source_reports;
mod support;
mod wire;
