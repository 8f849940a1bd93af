//! The edge's store and uplink against a cloud in this process, over a link that can be spoilt at will.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

mod connections;
mod delivery;
mod failing_disk;
mod outage;
mod slow_link;
mod support;
mod wire;
